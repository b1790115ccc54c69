/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/client_step.h"

#include <time.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "snapshotter/inventories.h"
#include "snapshotter/layer.h"
#include "snapshotter/source.h"
#include "snapshotter/take_over.h"
#include "store/trees.h"
#include "tree/inventory.h"
#include "tree/tree.h"

/* Without it the next step clones. */
static void remember(const struct snapshotter *snapshotter, uint64_t tree, struct timestamp time,
                     uint64_t epoch, struct path_list *take_list)
{
    const struct inventory_key key = {.tree = tree, .time = time, .epoch = epoch};
    inventories_put(snapshotter->inventories, &key, take_list, clock_monotonic_ms());
}

/* Many files may have been made in the very moment that counts as the end of the clone, since
 * volumes have clocks that tick some hundred times a second: all of them would seem to be changed.
 */
static int mark_later(int fd, struct timestamp *inout_time)
{
    static const struct timespec part_of_tick = {.tv_nsec = 1000000};
    struct timestamp first = *inout_time;
    int rc = tree_mark_time(fd, inout_time, NULL);
    for (int tries = 0; rc == 0 && !timestamp_after(*inout_time, first) && tries < 20; tries++) {
        (void) nanosleep(&part_of_tick, NULL);
        rc = tree_mark_time(fd, inout_time, NULL);
    }
    return rc;
}

void client_step_begin(struct preparation *preparation, const struct snapshot_record *parent,
                       const struct tree_clone_result *made, const struct cancel *cancel)
{
    struct snapshotter *snapshotter = preparation->snapshotter;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    if (!preparation_is_step(preparation) || !parent->fresh || made->entries <= SMALL_TREE_ENTRIES)
        return;
    owned(fd_close) int fd = snapshot_open_tree(snapshotter, preparation->tree, NULL);
    if (fd >= 0 && mark_later(fd, &preparation->cloned) == 0 &&
        inventory_take(fd, NULL, snapshotter->options.clone_threads, cancel, &list, NULL) == 0)
        remember(snapshotter, preparation->tree, preparation->cloned, preparation->clone_epoch,
                 &list);
}

/* A parent that a client has written, on its way to a layer. */
struct client_layer {
    struct snapshotter *snapshotter;
    struct snapshot_record parent;
    int tree_fd;
    uint64_t epoch;          /* of the clock, before the inventories were looked at */
    struct path_list before; /* what it had when it began */
    struct path_list now;
    struct path_list changes;
    struct captured_layer layer;
};

static void client_layer_clear(struct client_layer *making)
{
    snapshot_record_clear(&making->parent);
    fd_close(&making->tree_fd);
    path_list_clear(&making->before);
    path_list_clear(&making->now);
    path_list_clear(&making->changes);
}

/* 1 if its tree is not to be had anyway. */
static int find_parent(struct client_layer *making, const struct snapshot_request *request,
                       struct error *error)
{
    struct snapshotter *snapshotter = making->snapshotter;
    struct snapshot_record *parent = &making->parent;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(snapshotter->store, &txn, error);
    if (rc == 0)
        rc = snapshot_find_parent(&txn, request->snapshotter, request->parent, parent, error);
    if (rc == 0)
        rc = snapshot_check_free(&txn, request->snapshotter, request->key, error);
    if (rc == 0 && (!parent->fresh || parent->layer || !parent->parent[0] || parent->shown ||
                    parent->used.seconds != 0))
        rc = 1;
    if (rc == 0)
        rc = store_snapshot_has_children(&txn, request->snapshotter, request->parent, error);
    making->epoch = clock_epoch();
    if (rc == 0 &&
        !inventories_take(snapshotter->inventories, parent->tree, parent->cloned, &making->before))
        rc = 1;
    return rc;
}

/* 1 if the tree is cloned as fast: it is small by now, or was changed for the most part. */
static int find_changes(struct client_layer *making, const struct cancel *cancel,
                        struct error *error)
{
    struct snapshotter *snapshotter = making->snapshotter;
    int rc = making->tree_fd = snapshot_open_tree(snapshotter, making->parent.tree, error);
    if (rc >= 0)
        rc = inventory_take(making->tree_fd, &making->parent.cloned,
                            snapshotter->options.clone_threads, cancel, &making->now, error);
    if (rc != 0)
        return rc;
    bool known = making->now.count > SMALL_TREE_ENTRIES &&
                 inventory_changes(&making->before, &making->now, &making->changes);
    return known && making->changes.count <= making->now.count / 2 ? 0 : 1;
}

static int capture(struct client_layer *making, const struct cancel *cancel, struct error *error)
{
    int rc = snapshot_capture(making->snapshotter, &making->parent, making->tree_fd,
                              &making->changes, cancel, &making->layer, error);
    if (rc != 0 || making->layer.id == 0)
        return rc != 0 ? rc : 1;
    return snapshot_flush_layer(making->tree_fd, "step.flush", error);
}

/* The tree may be noted as not flushed, which is to hold for what was made of it, too. */
static int record_layer(struct store_txn *txn, void *context, struct error *error)
{
    const struct client_layer *making = context;
    const struct snapshot_record *parent = &making->parent;
    owned(snapshot_record_clear) struct snapshot_record now = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_find_parent(txn, parent->snapshotter, parent->key, &now, error);
    if (rc != 0)
        return rc;
    if (now.tree != parent->tree || now.layer)
        return 1;
    now.layer = making->layer.id;
    if (!now.measured) {
        now.measured = true;
        now.usage_bytes = making->layer.usage.bytes;
        now.usage_inodes = making->layer.usage.inodes;
    }
    rc = store_snapshot_put(txn, &now, error);
    int unflushed = rc == 0 ? store_tree_is_unflushed(txn, parent->tree, error) : 0;
    if (unflushed > 0)
        rc = store_tree_set_unflushed(txn, making->layer.id, error);
    return unflushed < 0 ? unflushed : rc;
}

/* The parent is held. */
static int make_layer(struct client_layer *making, const struct cancel *cancel, struct error *error)
{
    int rc = capture(making, cancel, error);
    if (rc == 0)
        rc = store_write(making->snapshotter->store, record_layer, making, error);
    if (rc != 0 && making->layer.id)
        snapshotter_trash_layer(making->snapshotter, making->layer.id);
    if (rc == 0)
        flusher_wake(making->snapshotter->flusher);
    (void) fault_point("step.recorded");
    return rc;
}

static int compare_and_make_layer(struct client_layer *making, const struct cancel *cancel,
                                  struct error *error)
{
    struct snapshotter *snapshotter = making->snapshotter;
    const struct snapshot_record *parent = &making->parent;
    int rc = find_changes(making, cancel, error);
    if (rc != 0)
        return rc;
    (void) fault_point("step.compared");
    snapshot_measure_first(snapshotter, parent, cancel);
    pins_hold(snapshotter->pins, parent->snapshotter, parent->key);
    rc = make_layer(making, cancel, error);
    pins_unhold(snapshotter->pins, parent->snapshotter, parent->key);
    return rc;
}

/* Whatever it fails for but a client that has gone, a clone does without. */
static int try_layer(struct client_layer *making, const struct snapshot_request *request,
                     const struct cancel *cancel, struct error *error)
{
    struct error own = {0};
    if (find_parent(making, request, &own) != 0)
        return 1;
    int rc = compare_and_make_layer(making, cancel, &own);
    if (rc >= 0)
        return rc;
    if (rc != ERROR_CANCELLED) {
        log_info("snapshot %s gets no layer: %s", request->parent, own.message);
        return 1;
    }
    remember(making->snapshotter, making->parent.tree, making->parent.cloned, making->epoch,
             &making->before);
    if (error)
        *error = own;
    return rc;
}

int client_step_take_over(struct preparation *preparation, const struct cancel *cancel,
                          struct error *error)
{
    owned(client_layer_clear) struct client_layer making = {.snapshotter = preparation->snapshotter,
                                                            .tree_fd = -1};
    if (!preparation_is_step(preparation))
        return 1;
    int rc = try_layer(&making, preparation->request, cancel, error);
    if (rc == 0)
        rc = take_over(preparation, cancel, error);
    if (rc == 0)
        remember(preparation->snapshotter, preparation->tree, preparation->cloned, making.epoch,
                 &making.now);
    return rc;
}
