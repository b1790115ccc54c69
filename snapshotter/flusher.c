/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/flusher.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/volume.h"
#include "snapshotter/damage.h"
#include "store/trees.h"

struct flusher {
    struct store *store;           /* set once */
    const struct store_root *root; /* set once */
    unsigned delay_ms;             /* set once */
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t *held; /* trees; under lock, like all below */
    size_t held_count;
    bool work;
    bool stopping;
    bool finished;
    bool lost; /* the flusher's own: a flush failed, and the damage is not recorded yet */
};

struct flushed_trees {
    struct store_unflushed *list;
    size_t count;
    bool failed; /* a flush did: the trees may be damaged */
};

static int note_flushed(struct store_txn *txn, void *context, struct error *error)
{
    const struct flushed_trees *trees = context;
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < trees->count; i++) {
        owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
        if (trees->failed)
            rc = snapshot_damage(txn, trees->list[i].tree, &record, error);
        if (rc >= 0)
            rc = store_tree_set_flushed(txn, &trees->list[i], error);
    }
    return rc < 0 ? rc : 0;
}

static int list_unflushed(struct flusher *flusher, struct flushed_trees *trees, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(flusher->store, &txn, error);
    if (rc == 0)
        rc = store_tree_list_unflushed(&txn, &trees->list, &trees->count, error);
    return rc;
}

static bool is_held(const struct flusher *flusher, uint64_t tree)
{
    for (size_t i = 0; i < flusher->held_count; i++)
        if (flusher->held[i] == tree)
            return true;
    return false;
}

/* Whether one of the trees needs a flush now. */
static bool are_due(struct flusher *flusher, const struct flushed_trees *trees)
{
    (void) pthread_mutex_lock(&flusher->lock);
    bool due = false;
    for (size_t i = 0; !due && i < trees->count; i++)
        due = flusher->stopping || !is_held(flusher, trees->list[i].tree);
    (void) pthread_mutex_unlock(&flusher->lock);
    return due;
}

/* The root's descriptor was opened before the first write, so that no error is missed. */
static void flush_once(struct flusher *flusher)
{
    struct error error = {0};
    struct flushed_trees trees = {0};
    int rc = list_unflushed(flusher, &trees, &error);
    if (rc == 0 && are_due(flusher, &trees)) {
        int64_t started = clock_monotonic_ms();
        if (fault_point("flush") != 0 || volume_flush(flusher->root->fd) != 0) {
            (void) error_errno(&error, "the volume reported that writes were lost");
            log_error("%s: %zu snapshots are marked as damaged", error.message, trees.count);
            flusher->lost = true; /* the volume says so only once */
        }
        trees.failed = flusher->lost;
        rc = store_write(flusher->store, note_flushed, &trees, &error);
        flusher->lost = flusher->lost && rc != 0;
        if (!trees.failed)
            log_debug("flushed %zu trees in %lld ms", trees.count,
                      (long long) (clock_monotonic_ms() - started));
    }
    if (rc < 0) {
        log_error("cannot note what was flushed, will try again: %s", error.message);
        flusher_wake(flusher);
    }
    free(trees.list);
}

/* Waits for work, then a little longer, so that one flush serves many changes. True at the stop. */
static bool wait_for_work(struct flusher *flusher)
{
    int rc = 0;
    (void) pthread_mutex_lock(&flusher->lock);
    while (!flusher->work && !flusher->stopping)
        (void) pthread_cond_wait(&flusher->changed, &flusher->lock);
    struct timespec deadline = clock_deadline((int) flusher->delay_ms);
    while (!flusher->stopping && rc == 0)
        rc = pthread_cond_timedwait(&flusher->changed, &flusher->lock, &deadline);
    flusher->work = false;
    bool stopping = flusher->stopping;
    (void) pthread_mutex_unlock(&flusher->lock);
    return stopping;
}

static void *run(void *argument)
{
    struct flusher *flusher = argument;
    bool stopping = false;
    while (!stopping) {
        stopping = wait_for_work(flusher);
        flush_once(flusher);
    }
    (void) pthread_mutex_lock(&flusher->lock);
    flusher->finished = true;
    (void) pthread_cond_broadcast(&flusher->changed);
    (void) pthread_mutex_unlock(&flusher->lock);
    return NULL;
}

int flusher_open(struct store *store, const struct store_root *root, unsigned delay_ms,
                 struct flusher **out_flusher, struct error *error)
{
    struct flusher *flusher = mem_alloc(sizeof *flusher);
    *flusher = (struct flusher){.store = store, .root = root, .delay_ms = delay_ms, .work = true};
    (void) pthread_mutex_init(&flusher->lock, NULL);
    (void) pthread_cond_init(&flusher->changed, NULL);
    int rc = thread_start(&flusher->thread, "flusher", run, flusher, error);
    if (rc != 0) {
        free(flusher);
        return rc;
    }
    *out_flusher = flusher;
    return 0;
}

void flusher_wake(struct flusher *flusher)
{
    (void) pthread_mutex_lock(&flusher->lock);
    if (!flusher->work)
        (void) pthread_cond_broadcast(&flusher->changed);
    flusher->work = true;
    (void) pthread_mutex_unlock(&flusher->lock);
}

void flusher_hold(struct flusher *flusher, uint64_t tree)
{
    (void) pthread_mutex_lock(&flusher->lock);
    flusher->held = mem_resize(flusher->held, flusher->held_count + 1, sizeof *flusher->held);
    flusher->held[flusher->held_count++] = tree;
    (void) pthread_mutex_unlock(&flusher->lock);
}

void flusher_release(struct flusher *flusher, uint64_t tree)
{
    (void) pthread_mutex_lock(&flusher->lock);
    size_t i = 0;
    while (flusher->held[i] != tree)
        i++;
    flusher->held[i] = flusher->held[--flusher->held_count];
    (void) pthread_mutex_unlock(&flusher->lock);
    flusher_wake(flusher);
}

bool flusher_close(struct flusher *flusher, int timeout_ms)
{
    if (!flusher)
        return true;
    struct timespec deadline = clock_deadline(timeout_ms);
    int rc = 0;
    (void) pthread_mutex_lock(&flusher->lock);
    flusher->stopping = true;
    (void) pthread_cond_broadcast(&flusher->changed);
    while (!flusher->finished && rc == 0)
        rc = pthread_cond_timedwait(&flusher->changed, &flusher->lock, &deadline);
    bool finished = flusher->finished;
    (void) pthread_mutex_unlock(&flusher->lock);
    if (!finished)
        return false;
    (void) pthread_join(flusher->thread, NULL);
    (void) pthread_mutex_destroy(&flusher->lock);
    (void) pthread_cond_destroy(&flusher->changed);
    mem_free(&flusher->held);
    free(flusher);
    return true;
}
