/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/take_over.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "snapshotter/source.h"
#include "tree/tree.h"

/* A look that costs nothing; what counts is decided in the transaction. */
static int find_tree(struct preparation *preparation, struct error *error)
{
    const struct snapshot_request *request = preparation->request;
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(preparation->snapshotter->store, &txn, error);
    if (rc == 0)
        rc = store_snapshot_get(&txn, request->snapshotter, request->parent, &parent, error);
    preparation->tree = parent.tree;
    return rc < 0 ? rc : snapshot_gives_tree(&parent) ? 0 : 1;
}

/* What is changed from now on is the new snapshot's. The list of fix-ups is of the parent. */
static int begin(struct preparation *preparation, struct error *error)
{
    owned(fd_close) int fd = snapshot_open_tree(preparation->snapshotter, preparation->tree, error);
    if (fd < 0 || tree_mark_time(fd, &preparation->cloned, error) != 0)
        return 1;
    snapshot_drop_fixups(preparation->snapshotter, preparation->tree);
    return 0;
}

static int take(struct preparation *preparation, struct error *error)
{
    int rc = find_tree(preparation, error);
    if (rc == 0)
        rc = begin(preparation, error);
    if (rc == 0)
        rc = store_write(preparation->snapshotter->store, preparation_record_taken_over,
                         preparation, error);
    (void) fault_point("prepare.taken");
    return rc;
}

int take_over(struct preparation *preparation, const struct cancel *cancel, struct error *error)
{
    struct snapshotter *snapshotter = preparation->snapshotter;
    const struct snapshot_request *request = preparation->request;
    if (!preparation_is_step(preparation))
        return 1;
    if (cancel_requested(cancel))
        return error_set(error, ERROR_CANCELLED, "the client has gone");
    if (!pins_begin_taking(snapshotter->pins, request->snapshotter, request->parent))
        return 1;
    int rc = take(preparation, error);
    pins_decided(snapshotter->pins, request->snapshotter, request->parent);
    if (rc != 0) {
        preparation->tree = 0;
        return rc;
    }
    usage_cache_drop(snapshotter->usage, preparation->tree);
    flusher_wake(snapshotter->flusher);
    return 0;
}
