/* SPDX-License-Identifier: Apache-2.0 */
#include "base/lane.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"

struct lane {
    struct lane_options options; /* set once */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct lane_job *first; /* under lock, like all below */
    struct lane_job **last;
    unsigned started;
    unsigned idle;
    unsigned wakes; /* idle threads that were signalled and have not run yet */
    bool stopping;
    pthread_t *threads;
};

static struct lane_job *take_job(struct lane *lane)
{
    struct lane_job *job = lane->first;
    lane->first = job->next;
    if (!lane->first)
        lane->last = &lane->first;
    job->next = NULL;
    return job;
}

static void *work(void *argument)
{
    struct lane *lane = argument;
    if (lane->options.nice_value)
        thread_lower_priority(lane->options.nice_value);
    (void) pthread_mutex_lock(&lane->lock);
    for (;;) {
        while (!lane->first && !lane->stopping) {
            lane->idle++;
            (void) pthread_cond_wait(&lane->wake, &lane->lock);
            lane->idle--;
            if (lane->wakes > 0)
                lane->wakes--;
        }
        if (!lane->first)
            break;
        struct lane_job *job = take_job(lane);
        (void) pthread_mutex_unlock(&lane->lock);
        job->run(job);
        (void) pthread_mutex_lock(&lane->lock);
    }
    (void) pthread_mutex_unlock(&lane->lock);
    return NULL;
}

/* A lane that has one thread goes on without more; the first is started by lane_new. */
static int start_thread(struct lane *lane, struct error *error)
{
    int rc = thread_start(&lane->threads[lane->started], lane->options.name, work, lane, error);
    if (rc == 0)
        lane->started++;
    return rc;
}

int lane_new(const struct lane_options *options, struct lane **out_lane, struct error *error)
{
    struct lane *lane = mem_alloc(sizeof *lane);
    lane->options = *options;
    lane->last = &lane->first;
    lane->threads = mem_alloc_array(options->threads, sizeof *lane->threads);
    (void) pthread_mutex_init(&lane->lock, NULL);
    (void) pthread_cond_init(&lane->wake, NULL);
    int rc = start_thread(lane, error);
    if (rc != 0) {
        lane_free(lane);
        return rc;
    }
    *out_lane = lane;
    return 0;
}

void lane_put(struct lane *lane, struct lane_job *job)
{
    job->next = NULL;
    (void) pthread_mutex_lock(&lane->lock);
    *lane->last = job;
    lane->last = &job->next;
    if (lane->idle > lane->wakes) {
        lane->wakes++;
        (void) pthread_cond_signal(&lane->wake);
    } else if (lane->started < lane->options.threads) {
        struct error error = {0};
        if (start_thread(lane, &error) != 0)
            log_warn("lane %s goes on with %u threads: %s", lane->options.name, lane->started,
                     error.message);
    }
    (void) pthread_mutex_unlock(&lane->lock);
}

void lane_free(struct lane *lane)
{
    if (!lane)
        return;
    (void) pthread_mutex_lock(&lane->lock);
    lane->stopping = true;
    (void) pthread_cond_broadcast(&lane->wake);
    (void) pthread_mutex_unlock(&lane->lock);
    for (unsigned i = 0; i < lane->started; i++)
        (void) pthread_join(lane->threads[i], NULL);
    (void) pthread_mutex_destroy(&lane->lock);
    (void) pthread_cond_destroy(&lane->wake);
    free(lane->threads);
    free(lane);
}
