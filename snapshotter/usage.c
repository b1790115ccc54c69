/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/volume.h"
#include "snapshotter/internal.h"
#include "tree/tree.h"

static struct snapshot_usage stored_usage(const struct snapshot_record *record)
{
    return (struct snapshot_usage){.bytes = record->usage_bytes, .inodes = record->usage_inodes};
}

/* 1 and the figure if it costs nothing. */
static int known_usage(struct snapshotter *snapshotter, const struct snapshot_record *record,
                       struct snapshot_usage *out_usage)
{
    *out_usage = (struct snapshot_usage){0};
    if (record->kind == SNAPSHOT_VIEW)
        return 1;
    if (record->kind == SNAPSHOT_COMMITTED) {
        *out_usage = stored_usage(record);
        return record->measured || !record->tree;
    }
    return usage_cache_get(snapshotter->usage, record->tree, out_usage);
}

int snapshot_usage_known(struct snapshotter *snapshotter, const char *name, const char *key,
                         struct snapshot_usage *out_usage, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_stat(snapshotter, name, key, &record, error);
    return rc == 0 ? known_usage(snapshotter, &record, out_usage) : rc;
}

/*
 * What a snapshot has for itself is what its files share with nobody: neither with what they were
 * cloned from, nor with what was cloned from them. The latter is to count; but then the volume does
 * not tell it from the former any more, and changed files count whole. For a layer that was
 * unpacked that makes no difference: it has written all of them. Otherwise it is the price for a
 * Prepare that does not wait until its parent was measured.
 *
 * A Prepare holds its parent until its record is there.
 */
static bool is_cloned(struct snapshotter *snapshotter, const struct snapshot_record *record)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    if (record->kind == SNAPSHOT_ACTIVE)
        return false;
    return pins_is_held(snapshotter->pins, record->snapshotter, record->key) ||
           store_read_begin(snapshotter->store, &txn, NULL) != 0 ||
           store_snapshot_has_children(&txn, record->snapshotter, record->key, NULL) != 0;
}

static int walk(struct snapshotter *snapshotter, const struct snapshot_record *record,
                const struct cancel *cancel, struct snapshot_usage *out_usage, struct error *error)
{
    owned(fd_close) int dirfd = snapshotter_open_folder(snapshotter, record->tree);
    if (dirfd < 0)
        return error_errno(error, "cannot open the tree of snapshot %s", record->key);
    struct tree_usage usage = {0};
    if (snapshotter->options.tells_private_sizes && record->kind == SNAPSHOT_COMMITTED)
        (void) volume_flush(dirfd); /* what is not on disk has no size of its own yet */
    int rc = tree_measure(dirfd, "fs", record->parent[0] ? &record->cloned : NULL, cancel, &usage,
                          error);
    bool is_private = snapshotter->options.tells_private_sizes && !is_cloned(snapshotter, record);
    *out_usage = (struct snapshot_usage){.bytes = is_private ? usage.private_bytes : usage.bytes,
                                         .inodes = usage.inodes};
    return rc;
}

struct measured {
    const struct snapshot_record *record;
    struct snapshot_usage usage;
};

/* Between the walk and this the snapshot may have been removed, its key even reused. */
static int record_usage(struct store_txn *txn, void *context, struct error *error)
{
    const struct measured *measured = context;
    owned(snapshot_record_clear) struct snapshot_record now = SNAPSHOT_RECORD_NULL;
    int found =
        store_snapshot_get(txn, measured->record->snapshotter, measured->record->key, &now, error);
    if (found <= 0 || now.tree != measured->record->tree || now.kind != SNAPSHOT_COMMITTED)
        return found < 0 ? found : 0;
    if (now.measured) /* by another, before it was cloned perhaps */
        return 0;
    now.measured = true;
    now.usage_bytes = measured->usage.bytes;
    now.usage_inodes = measured->usage.inodes;
    return store_snapshot_put(txn, &now, error);
}

/* Whoever makes an end of the active snapshot drops its figure then; that may have been during the
 * walk. */
void snapshot_usage_keep(struct snapshotter *snapshotter, const struct snapshot_record *measured,
                         struct snapshot_usage usage, int64_t walk_ms)
{
    owned(snapshot_record_clear) struct snapshot_record now = SNAPSHOT_RECORD_NULL;
    usage_cache_put(snapshotter->usage, measured->tree, usage, walk_ms);
    if (snapshot_stat(snapshotter, measured->snapshotter, measured->key, &now, NULL) != 0 ||
        now.tree != measured->tree || now.kind != SNAPSHOT_ACTIVE)
        usage_cache_drop(snapshotter->usage, measured->tree);
}

int snapshot_usage_measure(struct snapshotter *snapshotter, const char *name, const char *key,
                           const struct cancel *cancel, struct snapshot_usage *out_usage,
                           struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_stat(snapshotter, name, key, &record, error);
    if (rc != 0 || known_usage(snapshotter, &record, out_usage))
        return rc;
    int64_t started = clock_monotonic_ms();
    rc = walk(snapshotter, &record, cancel, out_usage, error);
    if (rc != 0)
        return rc;
    if (record.kind == SNAPSHOT_ACTIVE) {
        snapshot_usage_keep(snapshotter, &record, *out_usage, clock_monotonic_ms() - started);
        return 0;
    }
    struct measured measured = {.record = &record, .usage = *out_usage};
    return store_write(snapshotter->store, record_usage, &measured, error);
}

void snapshot_measure_first(struct snapshotter *snapshotter, const struct snapshot_record *record,
                            const struct cancel *cancel)
{
    struct snapshot_usage usage;
    if (snapshotter->options.tells_private_sizes && !record->measured)
        (void) snapshot_usage_measure(snapshotter, record->snapshotter, record->key, cancel, &usage,
                                      NULL);
}
