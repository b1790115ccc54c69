/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/trash.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fault.h"
#include "base/id_list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tree/tree.h"

enum {
    RETRY_MS = 60000,
    QUIET_MS = 50,          /* without a removal */
    QUIET_WITHIN_MS = 1000, /* it begins then, whoever removes */
    ROOM_TRIES = 50
};

struct trash {
    int trash_fd;
    pthread_t thread;
    struct cancel stopping;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool work; /* under lock, as the next */
    bool hurry;
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

/* Until there is work or the time is over. The lock is held. */
static bool await_work(struct trash *trash, const struct timespec *deadline)
{
    int rc = 0;
    while (!trash->work && rc == 0)
        rc = deadline ? pthread_cond_timedwait(&trash->wake, &trash->lock, deadline)
                      : pthread_cond_wait(&trash->wake, &trash->lock);
    bool work = trash->work;
    trash->work = false;
    return work;
}

/* Deleting slows down those who remove more: it waits until they have done. */
static void await_quiet(struct trash *trash)
{
    int64_t latest_ms = clock_monotonic_ms() + QUIET_WITHIN_MS;
    struct timespec deadline;
    do
        deadline = clock_deadline(QUIET_MS);
    while (!trash->hurry && await_work(trash, &deadline) && !cancel_requested(&trash->stopping) &&
           clock_monotonic_ms() < latest_ms);
    trash->hurry = false;
}

/* While something was left over, it is tried again after a while. */
static void wait_for_work(struct trash *trash, bool left)
{
    struct timespec retry = clock_deadline(RETRY_MS);
    (void) pthread_mutex_lock(&trash->lock);
    if (await_work(trash, left ? &retry : NULL) && !cancel_requested(&trash->stopping))
        await_quiet(trash);
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

void trash_hurry(struct trash *trash)
{
    (void) pthread_mutex_lock(&trash->lock);
    trash->work = trash->hurry = true;
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

/* The trash's folder needs another block, and there is none. A file can go at once; for a directory
 * there is room when something that is in the trash has gone. */
static int put_without_room(struct trash *trash, int dirfd, const char *name,
                            const char *trash_name)
{
    const struct timespec pause = {.tv_nsec = 10000000};
    int result = unlinkat(dirfd, name, 0);
    if (result == 0 || errno == ENOENT)
        return 0;
    trash_hurry(trash);
    errno = ENOSPC;
    for (int i = 0; i < ROOM_TRIES && result != 0 && errno == ENOSPC; i++) {
        (void) nanosleep(&pause, NULL);
        result = renameat(dirfd, name, trash->trash_fd, trash_name);
    }
    return result;
}

void trash_put(struct trash *trash, int dirfd, const char *name, uint64_t id)
{
    char trash_name[ID_NAME_SIZE];
    id_name(id, trash_name);
    int result = renameat(dirfd, name, trash->trash_fd, trash_name);
    if (result != 0 && errno == ENOSPC)
        result = put_without_room(trash, dirfd, name, trash_name);
    if (result != 0 && errno != ENOENT)
        log_warn("cannot move %s to trash (errno %d): the next start will", name, errno);
    trash_wake(trash);
}

void trash_drain(int trash_fd)
{
    (void) delete_all(trash_fd, NULL);
}
