/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/trash.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/id_list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tree/tree.h"

#define RETRY_MS 60000

struct trash {
    int trash_fd;
    pthread_t thread;
    struct cancel stopping;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool work; /* under lock */
};

/* One pass over the folder. True if something had to stay. */
static bool delete_all(int trash_fd, const struct cancel *cancel)
{
    owned(id_list_clear) struct id_list list = {0};
    struct error error = {0};
    if (id_list_read(&list, trash_fd, &error) != 0)
        log_error("the trash stays for now: %s", error.message);
    bool left = error.code != 0;
    for (size_t i = 0; i < list.count && !cancel_requested(cancel); i++) {
        char name[ID_NAME_SIZE];
        id_name(list.ids[i], name);
        if (tree_remove(trash_fd, name, cancel, &error) == 0)
            continue;
        left = true;
        if (error.code != ERROR_CANCELLED)
            log_info("trash %s stays for now: %s", name, error.message);
    }
    return left;
}

/* Waits for work, or, while something was left over, for the time to try it again. */
static void wait_for_work(struct trash *trash, bool left)
{
    struct timespec deadline = clock_deadline(RETRY_MS);
    int rc = 0;
    (void) pthread_mutex_lock(&trash->lock);
    while (!trash->work && rc == 0)
        rc = left ? pthread_cond_timedwait(&trash->wake, &trash->lock, &deadline)
                  : pthread_cond_wait(&trash->wake, &trash->lock);
    trash->work = false;
    (void) pthread_mutex_unlock(&trash->lock);
}

static void *run(void *argument)
{
    struct trash *trash = argument;
    thread_lower_priority(10);
    while (!cancel_requested(&trash->stopping))
        wait_for_work(trash, delete_all(trash->trash_fd, &trash->stopping));
    return NULL;
}

int trash_open(int trash_fd, struct trash **out_trash, struct error *error)
{
    struct trash *trash = mem_alloc(sizeof *trash);
    trash->trash_fd = trash_fd;
    (void) pthread_mutex_init(&trash->lock, NULL);
    (void) pthread_cond_init(&trash->wake, NULL);
    int rc = thread_start(&trash->thread, "trash", run, trash, error);
    if (rc != 0) {
        free(trash);
        return rc;
    }
    *out_trash = trash;
    return 0;
}

void trash_wake(struct trash *trash)
{
    (void) pthread_mutex_lock(&trash->lock);
    trash->work = true;
    (void) pthread_cond_signal(&trash->wake);
    (void) pthread_mutex_unlock(&trash->lock);
}

void trash_close(struct trash *trash)
{
    if (!trash)
        return;
    cancel_request(&trash->stopping);
    trash_wake(trash);
    (void) pthread_join(trash->thread, NULL);
    (void) pthread_mutex_destroy(&trash->lock);
    (void) pthread_cond_destroy(&trash->wake);
    free(trash);
}

void trash_put(struct trash *trash, int dirfd, const char *name, uint64_t id)
{
    char trash_name[ID_NAME_SIZE];
    id_name(id, trash_name);
    if (renameat(dirfd, name, trash->trash_fd, trash_name) != 0 && errno != ENOENT)
        log_warn("cannot move %s to trash (errno %d): the next start will", name, errno);
    trash_wake(trash);
}

void trash_drain(int trash_fd)
{
    (void) delete_all(trash_fd, NULL);
}
