/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdlib.h>

#include "base/fault.h"
#include "base/log.h"
#include "base/volume.h"
#include "store/internal.h"

/*
 * Group commit. A caller queues its change; the first to find no leader becomes it, takes all that
 * is queued, runs the changes in one LMDB transaction and commits. Those that come meanwhile wait,
 * and one of them leads the next group. LMDB flushes the disk once a commit, however many changes
 * are in it.
 */
struct queued_change {
    store_change *run;
    void *context;
    struct error *error;
    int result;
    bool done; /* under the queue's lock */
    pthread_cond_t
        wake; /* its own, so that a commit wakes those whom it concerns and nobody else */
    struct queued_change *next;
};

/* Beyond the largest database anybody needs; growth doubles, so that it is rare. */
#define LARGEST_MAP ((size_t) 1 << 46)

int store_raise(struct error *error, int mdb_rc, const char *what)
{
    if (mdb_rc > 0) {
        errno = mdb_rc;
        return error_errno(error, "%s", what);
    }
    enum error_code code =
        mdb_rc == MDB_MAP_FULL ? ERROR_NO_SPACE
        : mdb_rc == MDB_CORRUPTED || mdb_rc == MDB_PAGE_NOTFOUND || mdb_rc == MDB_INVALID
            ? ERROR_CORRUPT
            : ERROR_IO;
    return error_set(error, code, "%s: %s", what, mdb_strerror(mdb_rc));
}

int store_read_begin(struct store *store, struct store_txn *out_txn, struct error *error)
{
    store_gate_enter(&store->gate);
    if (store->reads) {
        struct shared_read *shared = shared_reads_enter(store->reads);
        *out_txn = (struct store_txn){.store = store, .mdb = shared->mdb, .shared = shared};
        return 0;
    }
    MDB_txn *mdb = NULL;
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &mdb);
    if (rc != 0) {
        store_gate_leave(&store->gate);
        return store_raise(error, rc, "cannot read the metadata");
    }
    *out_txn = (struct store_txn){.store = store, .mdb = mdb};
    return 0;
}

void store_read_end(struct store_txn *txn)
{
    if (!txn->store)
        return;
    if (txn->shared)
        shared_reads_leave(txn->store->reads, txn->shared);
    else
        mdb_txn_abort(txn->mdb);
    store_gate_leave(&txn->store->gate);
    *txn = STORE_TXN_NULL;
}

int store_get(struct store_txn *txn, enum store_table table, MDB_val *key, MDB_val *out_value,
              struct error *error)
{
    int rc = mdb_get(txn->mdb, txn->store->tables[table], key, out_value);
    if (rc == MDB_NOTFOUND)
        return 0;
    return rc == 0 ? 1 : store_raise(error, rc, "cannot read the metadata");
}

int store_get_from(struct store_txn *txn, enum store_table table, uint64_t *inout_id,
                   MDB_val *out_value, struct error *error)
{
    MDB_cursor *cursor = NULL;
    size_t id = *inout_id;
    MDB_val key = value_of(&id, sizeof id);
    int rc = mdb_cursor_open(txn->mdb, txn->store->tables[table], &cursor);
    if (rc != 0)
        return store_raise(error, rc, "cannot list the metadata");
    rc = mdb_cursor_get(cursor, &key, out_value, MDB_SET_RANGE);
    if (rc == 0)
        *inout_id = read_u64(&key);
    mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND)
        return 0;
    return rc == 0 ? 1 : store_raise(error, rc, "cannot list the metadata");
}

int store_put(struct store_txn *txn, enum store_table table, MDB_val *key, MDB_val *value,
              struct error *error)
{
    txn->changed = true;
    int rc = mdb_put(txn->mdb, txn->store->tables[table], key, value, 0);
    return rc == 0 ? 0 : store_raise(error, rc, "cannot write the metadata");
}

int store_delete(struct store_txn *txn, enum store_table table, MDB_val *key, MDB_val *value,
                 struct error *error)
{
    txn->changed = true;
    int rc = mdb_del(txn->mdb, txn->store->tables[table], key, value);
    return rc == 0 || rc == MDB_NOTFOUND ? 0 : store_raise(error, rc, "cannot write the metadata");
}

/* Shows readers what is committed. */
static int publish(struct store *store)
{
    int rc = store->reads ? shared_reads_publish(store->reads) : 0;
    store->unsure = rc != 0;
    return rc;
}

static int grow_map(struct store *store, struct error *error)
{
    MDB_envinfo info;
    (void) mdb_env_info(store->env, &info);
    if (info.me_mapsize >= LARGEST_MAP)
        return error_set(error, ERROR_NO_SPACE, "the metadata database is at its largest size");
    store_gate_close(&store->gate);
    int rc = mdb_env_set_mapsize(store->env, info.me_mapsize * 2);
    if (rc == 0)
        rc = publish(store);
    store_gate_open(&store->gate);
    if (rc != 0)
        return store_raise(error, rc, "cannot enlarge the metadata database");
    log_info("metadata database enlarged to %zu MiB of address space", info.me_mapsize >> 19);
    return 0;
}

/* LMDB has flushed the file by then. */
static int flush_drive(struct store *store)
{
    mdb_filehandle_t fd = -1;
    int rc = fault_point("store.flush_drive") != 0 ? errno : mdb_env_get_fd(store->env, &fd);
    if (rc == 0 && volume_flush_drive(fd) != 0)
        rc = errno;
    store->unsure = rc != 0;
    return rc;
}

static int commit(struct store_txn *txn, struct error *error)
{
    int rc = fault_point("store.before_commit") != 0 ? errno : 0;
    if (rc != 0)
        mdb_txn_abort(txn->mdb);
    else
        rc = mdb_txn_commit(txn->mdb);
    if (rc == 0)
        rc = flush_drive(txn->store);
    if (rc == 0)
        rc = publish(txn->store);
    if (rc == 0)
        (void) fault_point("store.after_commit");
    return rc == 0 ? 0 : store_raise(error, rc, "cannot commit the metadata");
}

/* A transaction to write in, once that may be. */
static int begin_write(struct store *store, struct store_txn *out_txn, struct error *error)
{
    if (store->unsure)
        return error_set(error, ERROR_IO,
                         "the last commit of the metadata could not be completed, and whether it "
                         "holds is not known: nothing is written any more until clonefsd is "
                         "started again");
    if (store->reads)
        shared_reads_make_room(store->reads);
    *out_txn = (struct store_txn){.store = store};
    int rc = mdb_txn_begin(store->env, NULL, 0, &out_txn->mdb);
    return rc == 0 ? 0 : store_raise(error, rc, "cannot write the metadata");
}

enum group_outcome {
    GROUP_FINISHED, /* every change has its result */
    GROUP_SPOILED,  /* one change failed half-way: run each by itself */
    GROUP_MAP_FULL  /* enlarge the map and run the group again */
};

static void finish_all(struct queued_change *first, const struct error *error)
{
    for (struct queued_change *change = first; change; change = change->next) {
        if (change->result < 0)
            continue; /* keeps its own refusal */
        change->result = error->code;
        if (change->error)
            *change->error = *error;
    }
}

static bool is_map_full(const struct error *error, int result)
{
    return result == ERROR_NO_SPACE && error->sys == 0;
}

/* Runs all changes of the list in one transaction and commits it. */
static enum group_outcome run_group(struct store *store, struct queued_change *first)
{
    struct error error = {0};
    struct store_txn txn = STORE_TXN_NULL;
    if (begin_write(store, &txn, &error) != 0) {
        for (struct queued_change *change = first; change; change = change->next)
            change->result = 0;
        finish_all(first, &error);
        return GROUP_FINISHED;
    }
    bool any = false;
    for (struct queued_change *change = first; change; change = change->next) {
        struct error own = {0};
        txn.changed = false;
        change->result = change->run(&txn, change->context, &own);
        any = any || (change->result >= 0 && txn.changed);
        if (change->result >= 0)
            continue;
        if (txn.changed && (is_map_full(&own, change->result) || first->next)) {
            mdb_txn_abort(txn.mdb);
            return is_map_full(&own, change->result) ? GROUP_MAP_FULL : GROUP_SPOILED;
        }
        if (change->error)
            *change->error = own;
        if (txn.changed) {
            mdb_txn_abort(txn.mdb); /* it was alone */
            return GROUP_FINISHED;
        }
    }
    if (!any)
        mdb_txn_abort(txn.mdb);
    else if (commit(&txn, &error) != 0) {
        if (is_map_full(&error, error.code))
            return GROUP_MAP_FULL;
        finish_all(first, &error);
    }
    return GROUP_FINISHED;
}

static enum group_outcome run_growing(struct store *store, struct queued_change *first)
{
    for (;;) {
        enum group_outcome outcome = run_group(store, first);
        if (outcome != GROUP_MAP_FULL)
            return outcome;
        struct error error = {0};
        if (grow_map(store, &error) != 0) {
            for (struct queued_change *change = first; change; change = change->next)
                change->result = 0;
            finish_all(first, &error);
            return GROUP_FINISHED;
        }
    }
}

static void run_queue(struct store *store, struct queued_change *first)
{
    if (run_growing(store, first) == GROUP_FINISHED)
        return;
    for (struct queued_change *change = first; change; change = change->next) {
        struct queued_change *rest = change->next;
        change->next = NULL;
        (void) run_growing(store, change);
        change->next = rest;
    }
}

static struct queued_change *take_queue(struct store_write_queue *queue)
{
    struct queued_change *first = queue->first;
    queue->first = NULL;
    queue->last = &queue->first;
    return first;
}

/* Wakes the callers of a finished group, and one of those that wait to be the next leader. */
static void end_lead(struct store_write_queue *queue, struct queued_change *group)
{
    queue->leader = false;
    for (struct queued_change *next, *change = group; change; change = next) {
        next = change->next; /* its owner may return as soon as the lock is free */
        change->done = true;
        (void) pthread_cond_signal(&change->wake);
    }
    if (queue->first)
        (void) pthread_cond_signal(&queue->first->wake);
}

int store_write(struct store *store, store_change *run, void *context, struct error *error)
{
    struct store_write_queue *queue = &store->queue;
    struct queued_change own = {.run = run, .context = context, .error = error};
    (void) pthread_cond_init(&own.wake, NULL);
    (void) pthread_mutex_lock(&queue->lock);
    *queue->last = &own;
    queue->last = &own.next;
    while (!own.done && queue->leader)
        (void) pthread_cond_wait(&own.wake, &queue->lock);
    if (!own.done) {
        queue->leader = true;
        struct queued_change *group = take_queue(queue);
        (void) pthread_mutex_unlock(&queue->lock);
        run_queue(store, group);
        (void) pthread_mutex_lock(&queue->lock);
        end_lead(queue, group);
    }
    (void) pthread_mutex_unlock(&queue->lock);
    (void) pthread_cond_destroy(&own.wake);
    return own.result;
}
