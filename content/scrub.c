/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "content/internal.h"

/* Between two looks at the records. */
#define ROUND_MS (10 * 60 * 1000)
/* Looked at in one read transaction: a writer may wait for its end. */
#define RECORDS_AT_ONCE 4096

struct scrub {
    struct content *content;
    pthread_t thread;
    struct cancel stopping;
    pthread_mutex_t lock;
    pthread_cond_t wake;
};

static bool is_due(const struct content *content, const struct blob_record *record)
{
    struct timestamp due = record->verified;
    due.seconds += (int64_t) content->options.scrub_days * 86400;
    return !record->damaged && timestamp_after(clock_now(), due);
}

/* Looks for the next blob that is to be read again, and at so many records at most: 1, *out_due, or
 * 0 at the end. */
static int look_for_due(struct content *content, struct store_blob_position *position,
                        struct digest *out_digest, bool *out_due, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(content->store, &txn, error);
    int found = rc == 0 ? 1 : rc;
    *out_due = false;
    for (int i = 0; found > 0 && !*out_due && i < RECORDS_AT_ONCE; i++) {
        owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
        found = store_blob_next(&txn, position, &record, error);
        *out_digest = record.digest;
        *out_due = found > 0 && is_due(content, &record);
    }
    return found;
}

/* The next blob after the position that is to be read again: 1, or 0 at the end. */
static int find_due(struct content *content, struct store_blob_position *position,
                    struct digest *out_digest, struct error *error)
{
    bool due = false;
    int found = 1;
    while (found > 0 && !due)
        found = look_for_due(content, position, out_digest, &due, error);
    return found;
}

static void scrub_all(struct scrub *scrub)
{
    struct content *content = scrub->content;
    struct store_blob_position position = {0};
    struct digest digest;
    struct error error = {0};
    int found = 0;
    while (!cancel_requested(&scrub->stopping) &&
           (found = find_due(content, &position, &digest, &error)) > 0) {
        int rc = content_verify(content, &digest, content->options.scrub_bytes_per_second,
                                &scrub->stopping, &error);
        if (rc != 0 && rc != ERROR_NOT_FOUND && rc != ERROR_CANCELLED)
            log_error("scrub: %s", error.message);
    }
    if (found < 0)
        log_error("scrub: %s", error.message);
}

static void wait_for_round(struct scrub *scrub)
{
    struct timespec deadline = clock_deadline(ROUND_MS);
    int rc = 0;
    (void) pthread_mutex_lock(&scrub->lock);
    while (!cancel_requested(&scrub->stopping) && rc == 0)
        rc = pthread_cond_timedwait(&scrub->wake, &scrub->lock, &deadline);
    (void) pthread_mutex_unlock(&scrub->lock);
}

static void *run(void *argument)
{
    struct scrub *scrub = argument;
    thread_lower_priority(19);
    while (!cancel_requested(&scrub->stopping)) {
        scrub_all(scrub);
        wait_for_round(scrub);
    }
    return NULL;
}

int scrub_open(struct content *content, struct scrub **out_scrub, struct error *error)
{
    if (content->options.scrub_bytes_per_second == 0)
        return 0;
    struct scrub *scrub = mem_alloc(sizeof *scrub);
    scrub->content = content;
    (void) pthread_mutex_init(&scrub->lock, NULL);
    (void) pthread_cond_init(&scrub->wake, NULL);
    int rc = thread_start(&scrub->thread, "scrub", run, scrub, error);
    if (rc != 0) {
        free(scrub);
        return rc;
    }
    *out_scrub = scrub;
    return 0;
}

void scrub_close(struct scrub *scrub)
{
    if (!scrub)
        return;
    (void) pthread_mutex_lock(&scrub->lock);
    cancel_request(&scrub->stopping);
    (void) pthread_cond_signal(&scrub->wake);
    (void) pthread_mutex_unlock(&scrub->lock);
    (void) pthread_join(scrub->thread, NULL);
    (void) pthread_mutex_destroy(&scrub->lock);
    (void) pthread_cond_destroy(&scrub->wake);
    free(scrub);
}
