/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/spare_maker.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/volume.h"
#include "snapshotter/build.h"
#include "snapshotter/cached_trees.h"
#include "snapshotter/pool.h"
#include "snapshotter/preparation.h"
#include "snapshotter/space.h"
#include "tree/tree.h"

/* Between two looks at what is idle, and at the space. */
enum { TICK_MS = 5000 };

/* Nobody has wanted one for a moment, or it begins anyway. */
enum { QUIET_MS = 200, QUIET_WITHIN_MS = 600 };

/* After room was needed. */
enum { REST_MS = 10 * 60 * 1000 };

struct spare_maker {
    struct snapshotter *snapshotter; /* set once */
    struct cancel cancel;            /* at the stop */
    int64_t rest_until_ms;           /* the thread's own: room was needed */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool work; /* under lock, as all below */
    bool give_way;
    bool stopping;
    bool finished;
};

static int forget_record(struct store_txn *txn, void *context, struct error *error)
{
    const uint64_t *tree = context;
    return store_spare_delete(txn, *tree, error);
}

/* Its record goes first: what is recorded is on disk. */
static void discard(struct snapshotter *snapshotter, struct spare_record *spare)
{
    struct error error = {0};
    if (store_write(snapshotter->store, forget_record, &spare->tree, &error) < 0)
        log_warn("a spare of %s stays: %s", spare->parent, error.message);
    else
        snapshotter_trash_tree(snapshotter, spare->tree);
}

static void remove_surplus(struct spare_maker *maker, bool all)
{
    struct snapshotter *snapshotter = maker->snapshotter;
    struct spare_record spare = SPARE_RECORD_NULL;
    while (pool_take_surplus(snapshotter->pool, clock_monotonic_ms(), all, &spare)) {
        log_debug("a spare of %s goes", spare.parent);
        discard(snapshotter, &spare);
        spare_record_clear(&spare);
    }
}

/* A spare in the making. */
struct making {
    struct spare_record *spare;
    struct snapshot_record parent;
    uint64_t origin; /* the tree that it is a clone of */
};

static void making_clear(struct making *making)
{
    snapshot_record_clear(&making->parent);
}

static int find_parent(struct spare_maker *maker, struct making *making, struct error *error)
{
    const struct spare_record *spare = making->spare;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(maker->snapshotter->store, &txn, error);
    if (rc == 0)
        rc = snapshot_find_parent(&txn, spare->snapshotter, spare->parent, &making->parent, error);
    store_read_end(&txn);
    if (rc == 0)
        snapshot_measure_first(maker->snapshotter, &making->parent, &maker->cancel);
    return rc;
}

/* The parent may have gone meanwhile, and its tree, in the middle of the clone. */
static int record_spare(struct store_txn *txn, void *context, struct error *error)
{
    const struct making *making = context;
    const struct spare_record *spare = making->spare;
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_find_parent(txn, spare->snapshotter, spare->parent, &parent, error);
    uint64_t origin = 0;
    if (rc == 0)
        rc = snapshot_find_origin(txn, &parent, &origin, error);
    if (rc == 0 && (origin != making->origin || parent.layer != making->parent.layer))
        rc = error_set(error, ERROR_BUSY, "snapshot %s has not the tree any more that it had",
                       spare->parent);
    if (rc == 0)
        rc = snapshot_note_use(txn, &parent, false, error);
    return rc == 0 ? store_spare_put(txn, spare, error) : rc;
}

static int clone_tree(struct spare_maker *maker, struct making *making, struct error *error)
{
    struct snapshotter *snapshotter = maker->snapshotter;
    struct spare_record *spare = making->spare;
    bool quiet = pool_is_quiet(snapshotter->pool, clock_monotonic_ms());
    const struct tree_clone_options options = {
        .threads = quiet ? snapshotter->options.clone_threads : 1, .cancel = &maker->cancel};
    struct tree_clone_result result = {0};
    owned(fd_close) int dirfd = snapshotter_make_folder(snapshotter, spare->tree, error);
    if (dirfd < 0)
        return dirfd;
    spare->clone_epoch = clock_epoch();
    int rc = snapshot_build_unheld(snapshotter, &making->parent, dirfd, &options, &result,
                                   &making->origin, error);
    spare->cloned = result.time;
    spare->entries = result.entries;
    (void) fault_point("spare.cloned");
    /* By a descriptor of its own: what the root's is told, once, is for the flusher alone. */
    if (rc == 0 && volume_flush(dirfd) != 0)
        rc = error_errno(error, "cannot flush it to disk");
    return rc;
}

static int make_tree(struct spare_maker *maker, struct making *making, struct error *error)
{
    struct snapshotter *snapshotter = maker->snapshotter;
    int rc = clone_tree(maker, making, error);
    if (rc == 0)
        rc = store_write(snapshotter->store, record_spare, making, error);
    (void) fault_point("spare.recorded");
    return rc;
}

static bool is_worth_it(const struct snapshotter *snapshotter, const struct snapshot_record *parent)
{
    if (!parent->tree)
        return true;
    owned(fd_close) int parent_dirfd = snapshotter_open_folder(snapshotter, parent->tree);
    return parent_dirfd < 0 ||
           !tree_is_small(parent_dirfd, "fs", SMALL_TREE_ENTRIES, TREE_ANY_BYTES);
}

/* Makes one. 0, or 1 if the parent is not worth it, or an error code. */
static int make(struct spare_maker *maker, struct spare_record *spare, struct error *error)
{
    struct snapshotter *snapshotter = maker->snapshotter;
    owned(making_clear) struct making making = {.spare = spare};
    int rc = find_parent(maker, &making, error);
    if (rc != 0)
        return rc;
    if (!is_worth_it(snapshotter, &making.parent))
        return 1;
    rc = store_new_id(snapshotter->store, &spare->tree, error);
    if (rc == 0)
        rc = make_tree(maker, &making, error);
    if (rc < 0 && spare->tree)
        snapshotter_trash_tree(snapshotter, spare->tree);
    return rc;
}

static void serve(struct spare_maker *maker, struct spare_record *spare)
{
    struct pool *pool = maker->snapshotter->pool;
    struct error error = {0};
    int64_t started = clock_monotonic_ms();
    int rc = make(maker, spare, &error);
    if (rc == ERROR_NOT_FOUND)
        pool_forget(pool, spare->snapshotter, spare->parent);
    else if (rc != 0)
        pool_pause(pool, spare->snapshotter, spare->parent, clock_monotonic_ms());
    if (rc < 0 && rc != ERROR_CANCELLED)
        log_info("no spare of snapshot %s: %s", spare->parent, error.message);
    if (rc != 0)
        return;
    owned(mem_free) char *parent = mem_strdup(spare->parent);
    uint64_t entries = spare->entries;
    if (!pool_put(pool, spare)) {
        discard(maker->snapshotter, spare);
        return;
    }
    log_debug("a spare of %s (%llu entries) is ready after %lld ms", parent,
              (unsigned long long) entries, (long long) (clock_monotonic_ms() - started));
}

static bool has_news(struct spare_maker *maker)
{
    (void) pthread_mutex_lock(&maker->lock);
    bool work = maker->work;
    (void) pthread_mutex_unlock(&maker->lock);
    return work;
}

/* Makes spares one after the other until somebody wants something. */
static void work(struct spare_maker *maker, bool give_way)
{
    struct pool *pool = maker->snapshotter->pool;
    if (give_way)
        maker->rest_until_ms = clock_monotonic_ms() + REST_MS;
    inventories_drop_idle(maker->snapshotter->inventories, clock_monotonic_ms());
    for (;;) {
        enum space space = space_left(maker->snapshotter->root->fd);
        owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
        remove_surplus(maker, give_way || space == SPACE_NONE);
        if (space == SPACE_NONE)
            (void) cached_trees_drop_one(maker->snapshotter);
        int64_t now_ms = clock_monotonic_ms();
        if (space != SPACE_PLENTY || now_ms < maker->rest_until_ms ||
            cancel_requested(&maker->cancel) ||
            !pool_wants(pool, now_ms, &spare.snapshotter, &spare.parent))
            return;
        serve(maker, &spare);
        if (has_news(maker))
            return;
    }
}

/* Until there is work or the time is over; without end if there is nothing to look after. The lock
 * is held. */
static bool await_work(struct spare_maker *maker, int timeout_ms)
{
    int rc = 0;
    struct timespec deadline = clock_deadline(timeout_ms);
    while (!maker->work && !maker->stopping && rc == 0)
        rc = pool_is_empty(maker->snapshotter->pool)
                 ? pthread_cond_wait(&maker->changed, &maker->lock)
                 : pthread_cond_timedwait(&maker->changed, &maker->lock, &deadline);
    bool work = maker->work;
    maker->work = false;
    return work;
}

/* What wants a spare has often only begun: a container's start, or several of them, which a clone
 * would slow down. */
static void await_quiet(struct spare_maker *maker)
{
    int64_t latest_ms = clock_monotonic_ms() + QUIET_WITHIN_MS;
    bool busy = true;
    while (busy && !maker->give_way && !maker->stopping && clock_monotonic_ms() < latest_ms)
        busy = await_work(maker, QUIET_MS);
}

/* False at the stop. */
static bool wait_for_work(struct spare_maker *maker, bool *out_give_way)
{
    (void) pthread_mutex_lock(&maker->lock);
    if (await_work(maker, TICK_MS))
        await_quiet(maker);
    *out_give_way = maker->give_way;
    maker->give_way = false;
    bool stopping = maker->stopping;
    (void) pthread_mutex_unlock(&maker->lock);
    return !stopping;
}

static void *run(void *argument)
{
    struct spare_maker *maker = argument;
    bool give_way = false;
    thread_run_in_background();
    while (wait_for_work(maker, &give_way))
        work(maker, give_way);
    (void) pthread_mutex_lock(&maker->lock);
    maker->finished = true;
    (void) pthread_cond_broadcast(&maker->changed);
    (void) pthread_mutex_unlock(&maker->lock);
    return NULL;
}

int spare_maker_open(struct snapshotter *snapshotter, struct spare_maker **out_maker,
                     struct error *error)
{
    struct spare_maker *maker = mem_alloc(sizeof *maker);
    maker->snapshotter = snapshotter;
    (void) pthread_mutex_init(&maker->lock, NULL);
    (void) pthread_cond_init(&maker->changed, NULL);
    int rc = thread_start(&maker->thread, "spares", run, maker, error);
    if (rc != 0) {
        free(maker);
        return rc;
    }
    *out_maker = maker;
    return 0;
}

static void wake(struct spare_maker *maker, bool give_way, bool stopping)
{
    (void) pthread_mutex_lock(&maker->lock);
    maker->work = true;
    maker->give_way = maker->give_way || give_way;
    maker->stopping = maker->stopping || stopping;
    (void) pthread_cond_broadcast(&maker->changed);
    (void) pthread_mutex_unlock(&maker->lock);
}

void spare_maker_wake(struct spare_maker *maker)
{
    if (maker)
        wake(maker, false, false);
}

void spare_maker_give_way(struct spare_maker *maker)
{
    if (maker)
        wake(maker, true, false);
}

bool spare_maker_close(struct spare_maker *maker, int timeout_ms)
{
    if (!maker)
        return true;
    struct timespec deadline = clock_deadline(timeout_ms);
    int rc = 0;
    cancel_request(&maker->cancel);
    wake(maker, false, true);
    (void) pthread_mutex_lock(&maker->lock);
    while (!maker->finished && rc == 0)
        rc = pthread_cond_timedwait(&maker->changed, &maker->lock, &deadline);
    bool finished = maker->finished;
    (void) pthread_mutex_unlock(&maker->lock);
    if (!finished)
        return false;
    (void) pthread_join(maker->thread, NULL);
    (void) pthread_mutex_destroy(&maker->lock);
    (void) pthread_cond_destroy(&maker->changed);
    free(maker);
    return true;
}
