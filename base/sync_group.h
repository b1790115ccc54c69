/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

/*
 * Flushes of one directory that many threads ask for at a time: a flush covers all that was changed
 * before it began, so callers that wait while one is under way share the next.
 */
struct sync_wait;

struct sync_group {
    int fd; /* set once; the caller's */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct sync_wait *waiting; /* under lock: for the next flush */
    bool running;              /* under lock */
};

void sync_group_init(struct sync_group *group, int fd);
void sync_group_clear(struct sync_group *group);

/* Makes durable what the caller has changed in the directory. 0, or -1 and errno. */
int sync_group_flush(struct sync_group *group);
