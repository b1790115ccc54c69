/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "content/internal.h"

/*
 * Opening an ingest happens inside containerd's only write transaction, so it does not wait for a
 * commit of ours: this thread records it a moment later, many in one commit. Most blobs are small
 * and done by then; they never need a record.
 */
#define DELAY_MS 50

/* So long when the store refuses, as on a full volume. */
#define RETRY_MS 1000

struct recorder {
    struct content *content;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool work;     /* under lock */
    bool stopping; /* under lock */
};

struct batch {
    struct ingest_table *table;
    struct ingest **ingests;
    size_t count;
};

/* Looks again whether it is still there: commits and aborts of others go on meanwhile, and what
 * they take back must stay away. They take it back in a write of their own, which they ask for
 * after they have said that the ingest is changing: so it comes after this one, or this one sees
 * that. */
static int record_one(struct store_txn *txn, struct ingest_table *table,
                      const struct ingest *ingest, struct error *error)
{
    int rc = 0;
    (void) pthread_mutex_lock(&table->lock);
    const struct ingest_record record = {.id = ingest->id,
                                         .ref = ingest->ref,
                                         .expected = ingest->expected,
                                         .total = ingest->total,
                                         .started = ingest->started,
                                         .inode = ingest->inode};
    if (!ingest->gone && !ingest->changing)
        rc = store_ingest_put(txn, &record, error);
    (void) pthread_mutex_unlock(&table->lock);
    return rc;
}

static int record_batch(struct store_txn *txn, void *context, struct error *error)
{
    const struct batch *batch = context;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < batch->count; i++)
        rc = record_one(txn, batch->table, batch->ingests[i], error);
    return rc;
}

/* True if there is nothing left to record. */
static bool record_all(struct recorder *recorder)
{
    struct ingest_table *table = &recorder->content->ingests;
    struct batch batch = {.table = table};
    struct error error = {0};
    (void) pthread_mutex_lock(&table->lock);
    batch.count = ingest_table_take_unrecorded(table, &batch.ingests);
    (void) pthread_mutex_unlock(&table->lock);
    int rc =
        batch.count > 0 ? store_write(recorder->content->store, record_batch, &batch, &error) : 0;
    if (rc != 0)
        log_warn("ingests cannot be recorded, a restart would lose them: %s", error.message);
    (void) pthread_mutex_lock(&table->lock);
    for (size_t i = 0; i < batch.count; i++) {
        if (rc != 0)
            ingest_table_note(table, batch.ingests[i]);
        ingest_unref(batch.ingests[i]);
    }
    (void) pthread_mutex_unlock(&table->lock);
    free(batch.ingests);
    return rc == 0;
}

/* Under the lock: sleeps, but not when stopping. */
static void nap(struct recorder *recorder, int ms)
{
    struct timespec deadline = clock_deadline(ms);
    int rc = 0;
    while (!recorder->stopping && rc == 0)
        rc = pthread_cond_timedwait(&recorder->wake, &recorder->lock, &deadline);
}

static void *run(void *argument)
{
    struct recorder *recorder = argument;
    (void) pthread_mutex_lock(&recorder->lock);
    while (!recorder->stopping) {
        while (!recorder->work && !recorder->stopping)
            (void) pthread_cond_wait(&recorder->wake, &recorder->lock);
        recorder->work = false;
        nap(recorder, DELAY_MS);
        (void) pthread_mutex_unlock(&recorder->lock);
        bool done = record_all(recorder);
        (void) pthread_mutex_lock(&recorder->lock);
        if (!done) {
            nap(recorder, RETRY_MS);
            recorder->work = true;
        }
    }
    (void) pthread_mutex_unlock(&recorder->lock);
    return NULL;
}

int recorder_open(struct content *content, struct recorder **out_recorder, struct error *error)
{
    struct recorder *recorder = mem_alloc(sizeof *recorder);
    recorder->content = content;
    (void) pthread_mutex_init(&recorder->lock, NULL);
    (void) pthread_cond_init(&recorder->wake, NULL);
    int rc = thread_start(&recorder->thread, "recorder", run, recorder, error);
    if (rc != 0) {
        free(recorder);
        return rc;
    }
    *out_recorder = recorder;
    return 0;
}

void recorder_wake(struct recorder *recorder)
{
    (void) pthread_mutex_lock(&recorder->lock);
    recorder->work = true;
    (void) pthread_cond_signal(&recorder->wake);
    (void) pthread_mutex_unlock(&recorder->lock);
}

void recorder_close(struct recorder *recorder)
{
    if (!recorder)
        return;
    (void) pthread_mutex_lock(&recorder->lock);
    recorder->stopping = true;
    (void) pthread_cond_signal(&recorder->wake);
    (void) pthread_mutex_unlock(&recorder->lock);
    (void) pthread_join(recorder->thread, NULL);
    (void) record_all(recorder);
    (void) pthread_mutex_destroy(&recorder->lock);
    (void) pthread_cond_destroy(&recorder->wake);
    free(recorder);
}
