/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "snapshotter/build.h"
#include "snapshotter/client_step.h"
#include "snapshotter/preparation.h"
#include "snapshotter/rebuild.h"
#include "snapshotter/take_over.h"
#include "tree/tree.h"

/*
 * Prepare: reserve the key, hold the parent, clone aside under a new id, then record it. Until the
 * record is there the clone is garbage that a crash leaves to the sweep.
 */

/* Where every byte is copied, a small tree has at most so many of them, too: some hundredths of a
 * second. */
#define SMALL_COPY_BYTES ((uint64_t) 16 << 20)

bool snapshot_prepare_is_small(struct snapshotter *snapshotter, const char *name,
                               const char *parent)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    if (!parent[0] || snapshot_stat(snapshotter, name, parent, &record, NULL) != 0)
        return true; /* a refusal is short work */
    if (!record.tree)
        return false;
    owned(fd_close) int dirfd = snapshotter_open_folder(snapshotter, record.tree);
    uint64_t max_bytes = snapshotter->options.clones_share_data ? TREE_ANY_BYTES : SMALL_COPY_BYTES;
    return dirfd < 0 || tree_is_small(dirfd, "fs", SMALL_TREE_ENTRIES, max_bytes);
}

bool snapshot_view_is_small(struct snapshotter *snapshotter, const char *name, const char *parent)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    if (snapshotter->options.view == SNAPSHOT_VIEW_PRIVATE_CLONE)
        return snapshot_prepare_is_small(snapshotter, name, parent);
    return !parent[0] || snapshot_stat(snapshotter, name, parent, &record, NULL) != 0 ||
           record.tree || record.kind != SNAPSHOT_COMMITTED;
}

static int make_empty(int dirfd, struct error *error)
{
    int fd = fd_make_dir(dirfd, "fs", 0755, error);
    if (fd < 0)
        return fd;
    fd_close(&fd);
    return 0;
}

static int build_of_parent(struct preparation *preparation, const struct snapshot_record *parent,
                           int dirfd, const struct cancel *cancel, struct error *error)
{
    struct snapshotter *snapshotter = preparation->snapshotter;
    const struct tree_clone_options options = {.threads = snapshotter->options.clone_threads,
                                               .cancel = cancel};
    struct tree_clone_result result = {0};
    preparation->clone_epoch = clock_epoch(); /* before the clone's time: it may be set between */
    int rc = snapshot_build(snapshotter, parent, dirfd, &options, &result, error);
    preparation->cloned = result.time;
    if (rc == 0)
        client_step_begin(preparation, parent, &result, cancel);
    return rc;
}

/* Makes trees/ID with the snapshot's content. */
static int build_tree(struct preparation *preparation, const struct cancel *cancel,
                      struct error *error)
{
    const struct snapshotter *snapshotter = preparation->snapshotter;
    const struct snapshot_request *request = preparation->request;
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(snapshotter->store, &txn, error);
    if (rc == 0 && request->parent[0])
        rc = snapshot_find_parent(&txn, request->snapshotter, request->parent, &parent, error);
    if (rc == 0)
        rc = snapshot_check_free(&txn, request->snapshotter, request->key, error);
    store_read_end(&txn);
    if (rc == 0)
        rc = store_new_id(snapshotter->store, &preparation->tree, error);
    if (rc != 0)
        return rc;
    (void) fault_point("prepare.reserved");
    owned(fd_close) int dirfd = snapshotter_make_folder(snapshotter, preparation->tree, error);
    if (dirfd < 0)
        return dirfd;
    return request->parent[0] ? build_of_parent(preparation, &parent, dirfd, cancel, error)
                              : make_empty(dirfd, error);
}

/* A parent that is cloned stays. */
static void hold_parent(const struct preparation *preparation)
{
    const struct snapshot_request *request = preparation->request;
    if (request->parent[0])
        pins_hold(preparation->snapshotter->pins, request->snapshotter, request->parent);
}

static void unhold_parent(const struct preparation *preparation)
{
    const struct snapshot_request *request = preparation->request;
    if (request->parent[0])
        pins_unhold(preparation->snapshotter->pins, request->snapshotter, request->parent);
}

static int clone_and_record(struct preparation *preparation, const struct cancel *cancel,
                            struct error *error)
{
    struct snapshotter *snapshotter = preparation->snapshotter;
    hold_parent(preparation);
    int rc = build_tree(preparation, cancel, error);
    if (rc == 0 && cancel_requested(cancel))
        rc = error_set(error, ERROR_CANCELLED, "the client has gone");
    (void) fault_point("prepare.cloned");
    if (rc == 0)
        rc = store_write(snapshotter->store, preparation_record, preparation, error);
    unhold_parent(preparation);
    if (rc != 0 && preparation->tree) {
        inventories_drop(snapshotter->inventories, preparation->tree);
        snapshotter_trash_tree(snapshotter, preparation->tree);
    }
    if (rc == ERROR_NO_SPACE)
        snapshotter_give_way(snapshotter);
    if (rc == 0) {
        (void) fault_point("prepare.recorded");
        flusher_wake(snapshotter->flusher);
    }
    return rc;
}

static int make_own_tree(struct preparation *preparation, const struct cancel *cancel,
                         struct error *error)
{
    int rc = client_step_take_over(preparation, cancel, error);
    return rc == 1 ? clone_and_record(preparation, cancel, error) : rc;
}

/* The spare is put back if it was not used. */
static int take_spare(struct preparation *preparation, const struct cancel *cancel,
                      struct error *error)
{
    struct snapshotter *snapshotter = preparation->snapshotter;
    const struct snapshot_request *request = preparation->request;
    owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
    if (cancel_requested(cancel))
        return error_set(error, ERROR_CANCELLED, "the client has gone");
    if (!pool_take(snapshotter->pool, request->snapshotter, request->parent, &spare))
        return 1;
    preparation->tree = spare.tree;
    preparation->cloned = spare.cloned;
    preparation->clone_epoch = spare.clone_epoch;
    hold_parent(preparation);
    int rc = store_write(snapshotter->store, preparation_record_spare, preparation, error);
    unhold_parent(preparation);
    (void) fault_point("spare.taken");
    if (rc < 0)
        (void) pool_put(snapshotter->pool, &spare);
    if (rc == 0)
        flusher_wake(snapshotter->flusher);
    return rc;
}

static bool has_own_tree(const struct preparation *preparation)
{
    return preparation->kind == SNAPSHOT_ACTIVE || !preparation->request->parent[0] ||
           preparation->snapshotter->options.view == SNAPSHOT_VIEW_PRIVATE_CLONE;
}

/* What was made tells of which parents spares are wanted. */
static void note_use(const struct preparation *preparation)
{
    const struct snapshotter *snapshotter = preparation->snapshotter;
    const struct snapshot_request *request = preparation->request;
    if (!snapshotter->pool || !request->parent[0] ||
        snapshot_is_of_unpacker(request->key, request->labels))
        return;
    if (pool_note_use(snapshotter->pool, request->snapshotter, request->parent,
                      clock_monotonic_ms()))
        spare_maker_wake(snapshotter->spare_maker);
}

/* An unpacker goes on upon its parent, which is no top then, and needs no spare that would be made
 * meanwhile. */
static void note_step(const struct preparation *preparation)
{
    const struct snapshotter *snapshotter = preparation->snapshotter;
    const struct snapshot_request *request = preparation->request;
    if (snapshotter->pool && request->parent[0] &&
        snapshot_is_of_unpacker(request->key, request->labels))
        pool_note_layer(snapshotter->pool, request->snapshotter, request->parent,
                        clock_monotonic_ms());
}

static int show_parent(struct preparation *preparation, const struct cancel *cancel,
                       struct error *error)
{
    struct snapshotter *snapshotter = preparation->snapshotter;
    const struct snapshot_request *request = preparation->request;
    int rc = store_write(snapshotter->store, preparation_record_view, preparation, error);
    while (rc == 1) { /* it may go again as soon as it is there, until the view is recorded */
        rc = snapshot_rebuild(snapshotter, request->snapshotter, request->parent, cancel, error);
        if (rc == 0)
            rc = store_write(snapshotter->store, preparation_record_view, preparation, error);
    }
    return rc;
}

/* One of the ways to make a snapshot. Returns 1 if it is not open here. */
typedef int making(struct preparation *preparation, const struct cancel *cancel,
                   struct error *error);

/* The key is reserved meanwhile. */
static int make_pinned(struct preparation *preparation, making *run, const struct cancel *cancel,
                       struct error *error)
{
    struct pins *pins = preparation->snapshotter->pins;
    const struct snapshot_request *request = preparation->request;
    int rc = pins_reserve(pins, request->snapshotter, request->key, error);
    if (rc != 0)
        return rc;
    rc = run(preparation, cancel, error);
    pins_release(pins, request->snapshotter, request->key);
    return rc;
}

/*
 * To a request with this label AlreadyExists says that the layer is here already, under another key
 * (contract 3.8). We never say that; containerd would look for it, and tell the user NotFound
 * instead of why the key is taken.
 */
static int taken_answer(const struct snapshot_request *request, int rc, struct error *error)
{
    return labels_get(request->labels, "containerd.io/snapshot.ref")
               ? snapshot_exists_as_precondition(rc, error)
               : rc;
}

static int make(struct preparation *preparation, making *run, const struct cancel *cancel,
                struct snapshot_mount *out_mount, struct error *error)
{
    const struct snapshot_request *request = preparation->request;
    if (has_own_tree(preparation))
        note_step(preparation);
    int rc = make_pinned(preparation, run, cancel, error);
    if (rc != 0)
        return taken_answer(request, rc, error);
    if (has_own_tree(preparation))
        note_use(preparation);
    return snapshot_mounts(preparation->snapshotter, request->snapshotter, request->key, cancel,
                           out_mount, error);
}

static int make_now(struct snapshotter *snapshotter, enum snapshot_kind kind,
                    const struct snapshot_request *request, const struct cancel *cancel,
                    struct snapshot_mount *out_mount, struct error *error)
{
    struct preparation preparation = {.snapshotter = snapshotter, .request = request, .kind = kind};
    making *run = has_own_tree(&preparation) ? make_own_tree : show_parent;
    return make(&preparation, run, cancel, out_mount, error);
}

/* A tree that is there already: that of the parent, or a spare. */
static int find_tree(struct preparation *preparation, const struct cancel *cancel,
                     struct error *error)
{
    int rc = take_over(preparation, cancel, error);
    if (rc == 1 && preparation->snapshotter->pool)
        rc = take_spare(preparation, cancel, error);
    return rc;
}

static int make_at_once(struct snapshotter *snapshotter, enum snapshot_kind kind,
                        const struct snapshot_request *request, const struct cancel *cancel,
                        struct snapshot_mount *out_mount, struct error *error)
{
    struct preparation preparation = {.snapshotter = snapshotter, .request = request, .kind = kind};
    if (!request->parent[0] || !has_own_tree(&preparation))
        return 1;
    return make(&preparation, find_tree, cancel, out_mount, error);
}

int snapshot_prepare_at_once(struct snapshotter *snapshotter,
                             const struct snapshot_request *request, const struct cancel *cancel,
                             struct snapshot_mount *out_mount, struct error *error)
{
    return make_at_once(snapshotter, SNAPSHOT_ACTIVE, request, cancel, out_mount, error);
}

int snapshot_view_at_once(struct snapshotter *snapshotter, const struct snapshot_request *request,
                          const struct cancel *cancel, struct snapshot_mount *out_mount,
                          struct error *error)
{
    return make_at_once(snapshotter, SNAPSHOT_VIEW, request, cancel, out_mount, error);
}

int snapshot_prepare(struct snapshotter *snapshotter, const struct snapshot_request *request,
                     const struct cancel *cancel, struct snapshot_mount *out_mount,
                     struct error *error)
{
    return make_now(snapshotter, SNAPSHOT_ACTIVE, request, cancel, out_mount, error);
}

int snapshot_view(struct snapshotter *snapshotter, const struct snapshot_request *request,
                  const struct cancel *cancel, struct snapshot_mount *out_mount,
                  struct error *error)
{
    return make_now(snapshotter, SNAPSHOT_VIEW, request, cancel, out_mount, error);
}
