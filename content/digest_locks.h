/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "base/digest.h"

/*
 * One change at a time of the file of each digest: a commit and a removal of the same blob must not
 * mix their renames. Held across disk work, never while waiting for a client.
 */
struct digest_lock;

struct digest_locks {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct digest_lock *held; /* under lock */
};

struct digest_lock {
    struct digest_locks *locks; /* NULL when not held */
    const struct digest *digest;
    struct digest_lock *next;
};

#define DIGEST_LOCK_NULL ((struct digest_lock){0})

void digest_locks_init(struct digest_locks *locks);
void digest_locks_clear(struct digest_locks *locks);

/* Waits until nobody else has the digest. lock and digest live until digest_lock_release. */
void digest_lock_take(struct digest_locks *locks, const struct digest *digest,
                      struct digest_lock *lock);
void digest_lock_release(struct digest_lock *lock); /* repeatable, usable with owned() */
