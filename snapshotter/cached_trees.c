/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/cached_trees.h"

#include "base/cleanup.h"
#include "base/log.h"
#include "snapshotter/build.h"
#include "snapshotter/space.h"
#include "store/trees.h"

static int64_t last_use(const struct snapshot_record *record)
{
    return record->used.seconds ? record->used.seconds : record->created.seconds;
}

static bool is_cache(const struct snapshot_record *record)
{
    return snapshot_is_rebuildable(record) && record->tree && !record->shown && !record->damaged;
}

/* Looks at all trees: 1 and the snapshot of the one that is to go, or 0. */
static int find_oldest(struct snapshotter *snapshotter, struct snapshot_record *out_oldest,
                       struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    uint64_t tree = 1;
    int found = 0;
    int rc = store_read_begin(snapshotter->store, &txn, error);
    while (rc == 0 && (rc = store_tree_next(&txn, &tree, error)) > 0) {
        owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
        rc = store_tree_owner(&txn, tree++, &record, error);
        if (rc > 0 && is_cache(&record) &&
            !pins_is_held(snapshotter->pins, record.snapshotter, record.key) &&
            (!found || last_use(&record) < last_use(out_oldest))) {
            snapshot_record_clear(out_oldest);
            *out_oldest = record;
            record = SNAPSHOT_RECORD_NULL;
            found = 1;
        }
        rc = rc < 0 ? rc : 0;
    }
    return rc < 0 ? rc : found;
}

/* 1 if it may not go any more. */
static int record_dropped(struct store_txn *txn, void *context, struct error *error)
{
    const struct snapshot_record *oldest = context;
    owned(snapshot_record_clear) struct snapshot_record now = SNAPSHOT_RECORD_NULL;
    int found = store_snapshot_get(txn, oldest->snapshotter, oldest->key, &now, error);
    if (found <= 0 || now.tree != oldest->tree || !is_cache(&now))
        return found < 0 ? found : 1;
    return store_snapshot_drop_tree(txn, &now, error);
}

bool cached_trees_drop_one(struct snapshotter *snapshotter)
{
    owned(snapshot_record_clear) struct snapshot_record oldest = SNAPSHOT_RECORD_NULL;
    struct error error = {0};
    int rc = find_oldest(snapshotter, &oldest, &error);
    if (rc < 0)
        log_warn("no tree is dropped: %s", error.message);
    if (rc <= 0 || !pins_begin_taking(snapshotter->pins, oldest.snapshotter, oldest.key))
        return false;
    rc = store_write(snapshotter->store, record_dropped, &oldest, &error);
    pins_decided(snapshotter->pins, oldest.snapshotter, oldest.key);
    if (rc < 0)
        log_warn("the tree of snapshot %s stays: %s", oldest.key, error.message);
    if (rc != 0)
        return false;
    log_info("the volume is nearly full: the tree of snapshot %s goes, to be made again when it is "
             "needed",
             oldest.key);
    snapshotter_trash_tree(snapshotter, oldest.tree);
    return true;
}

void cached_trees_make_room(struct snapshotter *snapshotter)
{
    if (space_left(snapshotter->root->fd) == SPACE_NONE)
        (void) cached_trees_drop_one(snapshotter);
}
