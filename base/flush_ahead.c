/* SPDX-License-Identifier: Apache-2.0 */
#include "base/flush_ahead.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/mem.h"
#include "base/thread.h"
#include "base/volume.h"

/* The last is a quarter of a second of writing, or less: more of it at a time would be flushed
 * later. Smaller ones before it, each twice the one before, are for those who write little. */
#define FIRST_STEP_BYTES ((uint64_t) 4 << 20)
#define LAST_STEP_BYTES ((uint64_t) 128 << 20)

struct flush_ahead {
    int fd;         /* set once */
    uint64_t begun; /* the caller's, as the next: bytes at the last flush that was asked for */
    uint64_t step;  /* bytes from then on to the next one */
    bool started;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool wanted; /* under lock, as the next */
    bool stopping;
};

static void *run(void *argument)
{
    struct flush_ahead *ahead = argument;
    (void) pthread_mutex_lock(&ahead->lock);
    for (;;) {
        while (!ahead->wanted && !ahead->stopping)
            (void) pthread_cond_wait(&ahead->changed, &ahead->lock);
        if (ahead->stopping)
            break;
        ahead->wanted = false;
        (void) pthread_mutex_unlock(&ahead->lock);
        (void) volume_flush(ahead->fd);
        (void) pthread_mutex_lock(&ahead->lock);
    }
    (void) pthread_mutex_unlock(&ahead->lock);
    return NULL;
}

struct flush_ahead *flush_ahead_new(int dirfd)
{
    struct flush_ahead *ahead = mem_alloc(sizeof *ahead);
    ahead->fd = fd_open_dir(dirfd, ".");
    ahead->step = FIRST_STEP_BYTES;
    (void) pthread_mutex_init(&ahead->lock, NULL);
    (void) pthread_cond_init(&ahead->changed, NULL);
    return ahead;
}

void flush_ahead_note(struct flush_ahead *ahead, uint64_t bytes)
{
    if (ahead->fd < 0 || bytes - ahead->begun < ahead->step)
        return;
    ahead->begun = bytes;
    if (ahead->step < LAST_STEP_BYTES)
        ahead->step *= 2;
    if (!ahead->started)
        ahead->started = thread_start(&ahead->thread, "flush ahead", run, ahead, NULL) == 0;
    (void) pthread_mutex_lock(&ahead->lock);
    ahead->wanted = true;
    (void) pthread_cond_signal(&ahead->changed);
    (void) pthread_mutex_unlock(&ahead->lock);
}

void flush_ahead_clear(struct flush_ahead **inout_ahead)
{
    struct flush_ahead *ahead = *inout_ahead;
    if (!ahead)
        return;
    (void) pthread_mutex_lock(&ahead->lock);
    ahead->stopping = true;
    (void) pthread_cond_signal(&ahead->changed);
    (void) pthread_mutex_unlock(&ahead->lock);
    if (ahead->started)
        (void) pthread_join(ahead->thread, NULL);
    fd_close(&ahead->fd);
    (void) pthread_mutex_destroy(&ahead->lock);
    (void) pthread_cond_destroy(&ahead->changed);
    free(ahead);
    *inout_ahead = NULL;
}
