/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/unpacking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/volume.h"
#include "snapshotter/internal.h"
#include "snapshotter/source.h"
#include "store/trees.h"

struct snapshot_unpacking {
    struct snapshotter *snapshotter; /* set once, as all but the cancel's request */
    struct snapshot_record record;   /* as it was at the beginning */
    bool pinned;
    bool flushed;
    int fd;
    struct cancel cancel;
};

/* What is ours and no target is no target for the next differ either, which would mount and fill
 * it, though it may be part of a committed snapshot by now. */
static int refuse_source(const struct snapshotter *snapshotter, const char *source,
                         struct error *error)
{
    bool ours = snapshot_is_source(snapshotter, source);
    return error_set(error, ours ? ERROR_PRECONDITION : ERROR_UNIMPLEMENTED,
                     "%.400s is not the directory of an active snapshot of clonefs", source);
}

/* Finds the snapshot and pins it; then looks again, since a Commit or Remove may have been faster.
 */
static int pin_target(struct snapshot_unpacking *unpacking, const char *source, struct error *error)
{
    struct snapshotter *snapshotter = unpacking->snapshotter;
    struct snapshot_record *record = &unpacking->record;
    owned(snapshot_record_clear) struct snapshot_record now = SNAPSHOT_RECORD_NULL;
    int found = snapshot_find_by_source(snapshotter, source, record, error);
    if (found <= 0)
        return found < 0 ? found : refuse_source(snapshotter, source, error);
    if (record->kind != SNAPSHOT_ACTIVE)
        return refuse_source(snapshotter, source, error);
    int rc =
        pins_write(snapshotter->pins, record->snapshotter, record->key, &unpacking->cancel, error);
    if (rc != 0)
        return rc;
    unpacking->pinned = true;
    flusher_hold(snapshotter->flusher, record->tree);
    found = snapshot_find_by_source(snapshotter, source, &now, error);
    if (found < 0)
        return found;
    if (found == 0 || now.kind != SNAPSHOT_ACTIVE || strcmp(now.key, record->key) != 0)
        return refuse_source(snapshotter, source, error);
    record->unpacked = now.unpacked; /* another layer may have been noted before the pin */
    return snapshot_check_whole(&now, error);
}

/* Whether the layer is known to be on disk. */
struct flush_state {
    const struct snapshot_unpacking *unpacking;
    bool on_disk;
};

static int record_flush_state(struct store_txn *txn, void *context, struct error *error)
{
    const struct flush_state *state = context;
    const struct snapshot_record *target = &state->unpacking->record;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_find(txn, target->snapshotter, target->key, &record, error);
    if (rc == 0 && record.tree != target->tree)
        rc =
            error_set(error, ERROR_NOT_FOUND, "snapshot %s was removed and made anew", target->key);
    if (rc != 0)
        return rc;
    const struct store_unflushed note = {.tree = record.tree, .generation = record.tree};
    record.unpacked = state->on_disk;
    rc = store_snapshot_put(txn, &record, error);
    if (rc != 0)
        return rc;
    return state->on_disk ? store_tree_set_flushed(txn, &note, error)
                          : store_tree_set_unflushed(txn, note.tree, note.generation, error);
}

static int note_flush_state(const struct snapshot_unpacking *unpacking, bool on_disk,
                            struct error *error)
{
    struct flush_state state = {.unpacking = unpacking, .on_disk = on_disk};
    return store_write(unpacking->snapshotter->store, record_flush_state, &state, error);
}

int snapshot_unpacking_begin(struct snapshotter *snapshotter, const char *source,
                             const struct cancel *outer, struct snapshot_unpacking **out_unpacking,
                             struct error *error)
{
    owned(snapshot_unpacking_clear) struct snapshot_unpacking *unpacking =
        mem_alloc(sizeof *unpacking);
    unpacking->snapshotter = snapshotter;
    unpacking->fd = -1;
    unpacking->cancel.outer = outer;
    int rc = pin_target(unpacking, source, error);
    if (rc == 0 && unpacking->record.unpacked) /* a second layer: the first one's note is void */
        rc = note_flush_state(unpacking, false, error);
    if (rc == 0)
        rc = unpacking->fd = snapshot_open_tree(snapshotter, unpacking->record.tree, error);
    if (rc < 0)
        return rc;
    snapshot_drop_fixups(snapshotter, unpacking->record.tree);
    *out_unpacking = unpacking;
    unpacking = NULL;
    return 0;
}

int snapshot_unpacking_fd(const struct snapshot_unpacking *unpacking)
{
    return unpacking->fd;
}

const struct snapshot_record *snapshot_unpacking_record(const struct snapshot_unpacking *unpacking)
{
    return &unpacking->record;
}

const struct cancel *snapshot_unpacking_cancel(const struct snapshot_unpacking *unpacking)
{
    return &unpacking->cancel;
}

static bool is_of_unpacker(const struct snapshot_record *record)
{
    return snapshot_is_of_unpacker(record->key, &record->labels);
}

int snapshot_unpacking_flush(struct snapshot_unpacking *unpacking, struct error *error)
{
    bool is_unpacker = is_of_unpacker(&unpacking->record);
    owned(snapshot_end_fixups) struct fixups_recording *recording =
        is_unpacker ? snapshot_begin_fixups(unpacking->snapshotter, unpacking->record.tree,
                                            &unpacking->cancel)
                    : NULL;
    (void) recording; /* goes on until here is left */
    if (fault_point("unpack.flush") != 0 || volume_flush(unpacking->fd) != 0)
        return error_errno(error, "cannot flush the layer to disk");
    unpacking->flushed = true;
    (void) fault_point("unpack.flushed");
    if (!is_unpacker)
        return 0;
    int rc = note_flush_state(unpacking, true, error);
    (void) fault_point("unpack.recorded");
    return rc;
}

void snapshot_unpacking_clear(struct snapshot_unpacking **inout_unpacking)
{
    struct snapshot_unpacking *unpacking = *inout_unpacking;
    if (!unpacking)
        return;
    struct snapshotter *snapshotter = unpacking->snapshotter;
    /* An earlier note may have been taken back by a flush for others, amid the writing. A snapshot
     * that is gone needs none. */
    if (unpacking->fd >= 0 && !unpacking->flushed)
        (void) note_flush_state(unpacking, false, NULL);
    fd_close(&unpacking->fd);
    if (unpacking->pinned) {
        flusher_release(snapshotter->flusher, unpacking->record.tree);
        pins_unwrite(snapshotter->pins, unpacking->record.snapshotter, unpacking->record.key);
        usage_cache_drop(snapshotter->usage, unpacking->record.tree);
    }
    if (cancel_requested(&unpacking->cancel))
        trash_wake(snapshotter->trash); /* what was removed may have grown meanwhile */
    snapshot_record_clear(&unpacking->record);
    free(unpacking);
    *inout_unpacking = NULL;
}
