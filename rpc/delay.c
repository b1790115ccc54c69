/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/delay.h"

#include <assert.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rpc/internal.h"

#define TICK_MS 20

struct rpc_delays {
    pthread_mutex_t lock;
    pthread_cond_t wake;    /* the first call has come, or stopping */
    struct rpc_call *first; /* under lock, like all below; in the order in which they came */
    struct rpc_call **last;
    bool hurry;
    bool stopping;
    pthread_t thread;
};

/* Moves the calls that must run to a list of their own. Under lock. */
static struct rpc_call *take_due(struct rpc_delays *delays)
{
    struct rpc_call *due = NULL;
    struct rpc_call **last_due = &due;
    int64_t now_ms = clock_monotonic_ms();
    struct rpc_call **at = &delays->first;
    while (*at) {
        struct rpc_call *call = *at;
        if (!delays->hurry && call->due_ms > now_ms && !cancel_requested(&call->cancel)) {
            at = &call->next_delayed;
            continue;
        }
        *at = call->next_delayed;
        call->next_delayed = NULL;
        *last_due = call;
        last_due = &call->next_delayed;
    }
    delays->last = at;
    return due;
}

/* A queued call may be gone at once. */
static void queue_all(struct rpc_call *calls)
{
    for (struct rpc_call *next, *call = calls; call; call = next) {
        next = call->next_delayed;
        call->next_delayed = NULL;
        rpc_call_queue(call);
    }
}

static void *run_delays(void *argument)
{
    struct rpc_delays *delays = argument;
    const struct timespec tick = {.tv_nsec = TICK_MS * 1000000L};
    (void) pthread_mutex_lock(&delays->lock);
    for (;;) {
        while (!delays->first && !delays->stopping)
            (void) pthread_cond_wait(&delays->wake, &delays->lock);
        if (!delays->first)
            break;
        (void) pthread_mutex_unlock(&delays->lock);
        (void) nanosleep(&tick, NULL); /* not a timed wait: its clock can step on some systems */
        (void) pthread_mutex_lock(&delays->lock);
        struct rpc_call *due = take_due(delays);
        (void) pthread_mutex_unlock(&delays->lock);
        queue_all(due);
        (void) pthread_mutex_lock(&delays->lock);
    }
    (void) pthread_mutex_unlock(&delays->lock);
    return NULL;
}

int rpc_delays_new(struct rpc_delays **out_delays, struct error *error)
{
    struct rpc_delays *delays = mem_alloc(sizeof *delays);
    delays->last = &delays->first;
    (void) pthread_mutex_init(&delays->lock, NULL);
    (void) pthread_cond_init(&delays->wake, NULL);
    int rc = thread_start(&delays->thread, "delays", run_delays, delays, error);
    if (rc != 0) {
        (void) pthread_mutex_destroy(&delays->lock);
        (void) pthread_cond_destroy(&delays->wake);
        free(delays);
        return rc;
    }
    *out_delays = delays;
    return 0;
}

void rpc_delays_put(struct rpc_delays *delays, struct rpc_call *call, unsigned ms)
{
    call->due_ms = clock_monotonic_ms() + ms;
    (void) pthread_mutex_lock(&delays->lock);
    if (!delays->first)
        (void) pthread_cond_signal(&delays->wake);
    *delays->last = call;
    delays->last = &call->next_delayed;
    (void) pthread_mutex_unlock(&delays->lock);
}

void rpc_delays_hurry(struct rpc_delays *delays)
{
    (void) pthread_mutex_lock(&delays->lock);
    delays->hurry = true;
    (void) pthread_mutex_unlock(&delays->lock);
}

void rpc_delays_free(struct rpc_delays *delays)
{
    if (!delays)
        return;
    (void) pthread_mutex_lock(&delays->lock);
    assert(!delays->first);
    delays->stopping = true;
    (void) pthread_cond_signal(&delays->wake);
    (void) pthread_mutex_unlock(&delays->lock);
    (void) pthread_join(delays->thread, NULL);
    (void) pthread_mutex_destroy(&delays->lock);
    (void) pthread_cond_destroy(&delays->wake);
    free(delays);
}
