/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sync_group.h"

#include <errno.h>
#include <unistd.h>

struct sync_wait {
    struct sync_wait *next;
    bool done;
    int sys; /* errno, or 0 */
};

void sync_group_init(struct sync_group *group, int fd)
{
    *group = (struct sync_group){.fd = fd};
    (void) pthread_mutex_init(&group->lock, NULL);
    (void) pthread_cond_init(&group->changed, NULL);
}

void sync_group_clear(struct sync_group *group)
{
    (void) pthread_mutex_destroy(&group->lock);
    (void) pthread_cond_destroy(&group->changed);
}

/* Under the lock, which is left meanwhile. */
static void flush_for_all(struct sync_group *group)
{
    struct sync_wait *served = group->waiting;
    group->waiting = NULL;
    group->running = true;
    (void) pthread_mutex_unlock(&group->lock);
    int sys = fsync(group->fd) == 0 ? 0 : errno;
    (void) pthread_mutex_lock(&group->lock);
    group->running = false;
    while (served) {
        struct sync_wait *next = served->next; /* its owner may go as soon as it is done */
        served->sys = sys;
        served->done = true;
        served = next;
    }
    (void) pthread_cond_broadcast(&group->changed);
}

int sync_group_flush(struct sync_group *group)
{
    struct sync_wait wait = {0};
    (void) pthread_mutex_lock(&group->lock);
    wait.next = group->waiting;
    /* cppcheck-suppress autoVariables ; it is out of the list when this returns */
    group->waiting = &wait;
    while (!wait.done) {
        if (group->running)
            (void) pthread_cond_wait(&group->changed, &group->lock);
        else
            flush_for_all(group);
    }
    (void) pthread_mutex_unlock(&group->lock);
    errno = wait.sys;
    return wait.sys == 0 ? 0 : -1;
}
