/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/rebuild.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "snapshotter/build.h"
#include "store/trees.h"

struct rebuilding {
    const struct snapshot_record *snapshot;
    uint64_t tree;
};

/* Nobody else has made one meanwhile (pins_begin_rebuild). */
static int record_rebuilt(struct store_txn *txn, void *context, struct error *error)
{
    const struct rebuilding *rebuilding = context;
    const struct snapshot_record *snapshot = rebuilding->snapshot;
    owned(snapshot_record_clear) struct snapshot_record now = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_find_parent(txn, snapshot->snapshotter, snapshot->key, &now, error);
    if (rc != 0)
        return rc;
    now.tree = rebuilding->tree;
    rc = store_snapshot_put(txn, &now, error);
    return rc == 0 ? store_tree_set_unflushed(txn, now.tree, error) : rc;
}

static int build(struct snapshotter *snapshotter, const struct rebuilding *rebuilding,
                 const struct cancel *cancel, struct error *error)
{
    const struct tree_clone_options options = {.threads = snapshotter->options.clone_threads,
                                               .cancel = cancel};
    struct tree_clone_result result = {0};
    owned(fd_close) int dirfd = snapshotter_make_folder(snapshotter, rebuilding->tree, error);
    if (dirfd < 0)
        return dirfd;
    return snapshot_build(snapshotter, rebuilding->snapshot, dirfd, &options, &result, error);
}

static int rebuild_held(struct snapshotter *snapshotter, const char *name, const char *key,
                        const struct cancel *cancel, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record snapshot = SNAPSHOT_RECORD_NULL;
    struct rebuilding rebuilding = {.snapshot = &snapshot};
    int rc = snapshot_stat(snapshotter, name, key, &snapshot, error);
    if (rc != 0 || snapshot.tree)
        return rc;
    rc = store_new_id(snapshotter->store, &rebuilding.tree, error);
    if (rc != 0)
        return rc;
    rc = build(snapshotter, &rebuilding, cancel, error);
    if (rc == 0)
        rc = store_write(snapshotter->store, record_rebuilt, &rebuilding, error);
    (void) fault_point("tree.recorded");
    if (rc != 0)
        snapshotter_trash_tree(snapshotter, rebuilding.tree);
    else
        flusher_wake(snapshotter->flusher);
    if (rc == ERROR_NO_SPACE)
        snapshotter_give_way(snapshotter);
    return rc;
}

int snapshot_rebuild(struct snapshotter *snapshotter, const char *name, const char *key,
                     const struct cancel *cancel, struct error *error)
{
    int rc = pins_begin_rebuild(snapshotter->pins, name, key, cancel, error);
    if (rc != 0)
        return rc;
    rc = rebuild_held(snapshotter, name, key, cancel, error);
    pins_end_rebuild(snapshotter->pins, name, key);
    return rc;
}
