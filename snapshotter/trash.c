/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/trash.h"

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
#include "snapshotter/internal.h"
#include "tree/tree.h"

#define RETRY_MS 60000

struct trash {
    const struct store_root *root;
    pthread_t thread;
    struct cancel stopping;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool work; /* under lock */
};

/* One pass over the folder. True if something had to stay. */
static bool delete_all(const struct store_root *root, const struct cancel *cancel)
{
    owned(id_list_clear) struct id_list list = {0};
    struct error error = {0};
    if (id_list_read(&list, root->trash_fd, &error) != 0)
        log_error("the trash stays for now: %s", error.message);
    bool left = error.code != 0;
    for (size_t i = 0; i < list.count && !cancel_requested(cancel); i++) {
        char name[TREE_NAME_SIZE];
        tree_name(list.ids[i], name);
        if (tree_remove(root->trash_fd, name, cancel, &error) == 0)
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
        wait_for_work(trash, delete_all(trash->root, &trash->stopping));
    return NULL;
}

int trash_open(const struct store_root *root, struct trash **out_trash, struct error *error)
{
    struct trash *trash = mem_alloc(sizeof *trash);
    trash->root = root;
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

void trash_put(struct trash *trash, uint64_t tree)
{
    char name[TREE_NAME_SIZE];
    tree_name(tree, name);
    (void) fault_point("remove.recorded");
    if (renameat(trash->root->trees_fd, name, trash->root->trash_fd, name) != 0 && errno != ENOENT)
        log_warn("cannot move tree %s to trash (errno %d): the next start will", name, errno);
    (void) fault_point("remove.trashed");
    trash_wake(trash);
}

void trash_drain(const struct store_root *root)
{
    (void) delete_all(root, NULL);
}
