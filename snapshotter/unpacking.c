/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/unpacking.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "snapshotter/layer.h"
#include "snapshotter/source.h"
#include "store/trees.h"

struct snapshot_unpacking {
    struct snapshotter *snapshotter; /* set once, as all but the cancel's request */
    struct snapshot_record record;   /* as it was at the beginning */
    bool pinned;
    bool flushed;
    bool wants_layer;
    struct path_list touched;
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
    if (snapshotter->pool)
        pool_begin_unpacking(snapshotter->pool);
    flusher_hold(snapshotter->flusher, record->tree);
    found = snapshot_find_by_source(snapshotter, source, &now, error);
    if (found < 0)
        return found;
    if (found == 0 || now.kind != SNAPSHOT_ACTIVE || strcmp(now.key, record->key) != 0)
        return refuse_source(snapshotter, source, error);
    record->unpacked = now.unpacked; /* another layer may have been noted before the pin */
    record->fresh = now.fresh;
    record->layer = now.layer;
    return snapshot_check_whole(&now, error);
}

/* What a change of the record is about. */
struct note {
    const struct snapshot_unpacking *unpacking;
    bool on_disk;                /* all of it is known to be */
    struct captured_layer layer; /* the layer is complete */
    uint64_t dropped;            /* out: a layer that is not true any more, or 0 */
};

static int find_target(struct store_txn *txn, const struct snapshot_unpacking *unpacking,
                       struct snapshot_record *out_record, struct error *error)
{
    const struct snapshot_record *target = &unpacking->record;
    int rc = snapshot_find(txn, target->snapshotter, target->key, out_record, error);
    if (rc == 0 && out_record->tree != target->tree)
        rc =
            error_set(error, ERROR_NOT_FOUND, "snapshot %s was removed and made anew", target->key);
    return rc;
}

static int record_flush_state(struct store_txn *txn, const struct snapshot_record *record,
                              bool on_disk, struct error *error)
{
    return on_disk ? store_tree_drop_unflushed(txn, record->tree, error)
                   : store_tree_set_unflushed(txn, record->tree, error);
}

/* Something is written from now on. */
static int record_begin(struct store_txn *txn, void *context, struct error *error)
{
    struct note *note = context;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = find_target(txn, note->unpacking, &record, error);
    if (rc != 0)
        return rc;
    record.unpacked = false;
    record.fresh = false;
    note->dropped = record.layer;
    rc = record.layer ? store_snapshot_drop_layer(txn, &record, error)
                      : store_snapshot_put(txn, &record, error);
    return rc == 0 ? record_flush_state(txn, &record, false, error) : rc;
}

static int record_end(struct store_txn *txn, void *context, struct error *error)
{
    const struct note *note = context;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = find_target(txn, note->unpacking, &record, error);
    if (rc != 0)
        return rc;
    record.unpacked = note->on_disk;
    if (note->layer.id) {
        record.layer = note->layer.id;
        record.usage_bytes = note->layer.usage.bytes;
        record.usage_inodes = note->layer.usage.inodes;
    }
    rc = store_snapshot_put(txn, &record, error);
    return rc == 0 ? record_flush_state(txn, &record, note->on_disk, error) : rc;
}

static int note_begin(const struct snapshot_unpacking *unpacking, struct error *error)
{
    struct note note = {.unpacking = unpacking};
    int rc = store_write(unpacking->snapshotter->store, record_begin, &note, error);
    if (rc == 0 && note.dropped)
        snapshotter_trash_layer(unpacking->snapshotter, note.dropped);
    return rc;
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
    if (rc == 0)
        unpacking->wants_layer = snapshot_wants_layer(snapshotter, &unpacking->record);
    /* After a second one, what was noted of the first is void. A parentless one is fresh, too,
     * which tells at its Commit who has written it. */
    const struct snapshot_record *record = &unpacking->record;
    if (rc == 0 && (record->fresh || record->unpacked || record->layer))
        rc = note_begin(unpacking, error);
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

struct path_list *snapshot_unpacking_touched(struct snapshot_unpacking *unpacking)
{
    return unpacking->wants_layer ? &unpacking->touched : NULL;
}

static int make_layer(struct snapshot_unpacking *unpacking, struct captured_layer *out_layer,
                      struct error *error)
{
    int rc = snapshot_capture(unpacking->snapshotter, &unpacking->record, unpacking->fd,
                              &unpacking->touched, &unpacking->cancel, out_layer, error);
    path_list_clear(&unpacking->touched);
    return rc;
}

static int end(struct snapshot_unpacking *unpacking, struct note *note, struct error *error)
{
    int rc = store_write(unpacking->snapshotter->store, record_end, note, error);
    if (rc != 0 && note->layer.id)
        snapshotter_trash_layer(unpacking->snapshotter, note->layer.id);
    (void) fault_point("unpack.recorded");
    return rc;
}

int snapshot_unpacking_finish(struct snapshot_unpacking *unpacking, const struct unpacked *unpacked,
                              struct error *error)
{
    struct note note = {.unpacking = unpacking};
    bool is_unpacker = snapshot_is_of_unpacker(unpacking->record.key, &unpacking->record.labels);
    owned(snapshot_end_fixups) struct fixups_recording *recording =
        is_unpacker && unpacked->durable
            ? snapshot_begin_fixups(unpacking->snapshotter, unpacking->record.tree,
                                    &unpacking->cancel)
            : NULL;
    (void) recording; /* goes on until here is left */
    int rc = 0;
    if (unpacking->wants_layer && !unpacked->touched_lost)
        rc = make_layer(unpacking, &note.layer, error);
    if (rc == 0 && unpacked->durable)
        rc = snapshot_flush_layer(unpacking->fd, "unpack.flush", error);
    if (rc != 0 && note.layer.id)
        snapshotter_trash_layer(unpacking->snapshotter, note.layer.id);
    if (rc != 0)
        return rc;
    unpacking->flushed = unpacked->durable;
    (void) fault_point("unpack.flushed");
    note.on_disk = unpacked->durable && is_unpacker;
    return note.on_disk || note.layer.id ? end(unpacking, &note, error) : 0;
}

static int record_unflushed(struct store_txn *txn, void *context, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = find_target(txn, context, &record, error);
    return rc == 0 ? record_flush_state(txn, &record, false, error) : rc;
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
        (void) store_write(snapshotter->store, record_unflushed, unpacking, NULL);
    path_list_clear(&unpacking->touched);
    fd_close(&unpacking->fd);
    if (unpacking->pinned) {
        if (snapshotter->pool)
            pool_end_unpacking(snapshotter->pool, clock_monotonic_ms());
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
