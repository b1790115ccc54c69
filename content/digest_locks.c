/* SPDX-License-Identifier: Apache-2.0 */
#include "content/digest_locks.h"

#include <stdbool.h>

void digest_locks_init(struct digest_locks *locks)
{
    locks->held = NULL;
    (void) pthread_mutex_init(&locks->lock, NULL);
    (void) pthread_cond_init(&locks->changed, NULL);
}

void digest_locks_clear(struct digest_locks *locks)
{
    (void) pthread_mutex_destroy(&locks->lock);
    (void) pthread_cond_destroy(&locks->changed);
}

static bool is_held(const struct digest_locks *locks, const struct digest *digest)
{
    for (const struct digest_lock *lock = locks->held; lock; lock = lock->next)
        if (digest_equal(lock->digest, digest))
            return true;
    return false;
}

void digest_lock_take(struct digest_locks *locks, const struct digest *digest,
                      struct digest_lock *lock)
{
    (void) pthread_mutex_lock(&locks->lock);
    while (is_held(locks, digest))
        (void) pthread_cond_wait(&locks->changed, &locks->lock);
    *lock = (struct digest_lock){.locks = locks, .digest = digest, .next = locks->held};
    locks->held = lock;
    (void) pthread_mutex_unlock(&locks->lock);
}

void digest_lock_release(struct digest_lock *lock)
{
    struct digest_locks *locks = lock->locks;
    if (!locks)
        return;
    (void) pthread_mutex_lock(&locks->lock);
    struct digest_lock **place = &locks->held;
    while (*place != lock)
        place = &(*place)->next;
    *place = lock->next;
    (void) pthread_cond_broadcast(&locks->changed);
    (void) pthread_mutex_unlock(&locks->lock);
    lock->locks = NULL;
}
