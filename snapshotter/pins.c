/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/pins.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/mem.h"

enum { CANCEL_NOTICED_MS = 200 };

/* As many as there are requests under way: a list is enough. */
struct pin {
    char *snapshotter;
    char *key;
    bool reserved;
    bool deciding;         /* a Remove or Commit of it is under way */
    bool rebuilding;       /* its tree is being made; held as well */
    struct cancel *writer; /* of the Apply that writes there, or NULL */
    unsigned held;
    unsigned waiting; /* keeps the entry while somebody waits for it */
    struct pin *next;
};

struct pins {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct pin *first; /* under lock */
};

struct pins *pins_new(void)
{
    struct pins *pins = mem_alloc(sizeof *pins);
    (void) pthread_mutex_init(&pins->lock, NULL);
    (void) pthread_cond_init(&pins->changed, NULL);
    return pins;
}

void pins_free(struct pins *pins)
{
    if (!pins)
        return;
    (void) pthread_mutex_destroy(&pins->lock);
    (void) pthread_cond_destroy(&pins->changed);
    free(pins);
}

static struct pin *find(struct pins *pins, const char *snapshotter, const char *key)
{
    struct pin *pin = pins->first;
    while (pin && (strcmp(pin->key, key) != 0 || strcmp(pin->snapshotter, snapshotter) != 0))
        pin = pin->next;
    return pin;
}

static struct pin *find_or_add(struct pins *pins, const char *snapshotter, const char *key)
{
    struct pin *pin = find(pins, snapshotter, key);
    if (pin)
        return pin;
    pin = mem_alloc(sizeof *pin);
    pin->snapshotter = mem_strdup(snapshotter);
    pin->key = mem_strdup(key);
    pin->next = pins->first;
    pins->first = pin;
    return pin;
}

static void drop_if_unused(struct pins *pins, struct pin *pin)
{
    if (pin->reserved || pin->deciding || pin->writer || pin->held || pin->waiting)
        return;
    struct pin **slot = &pins->first;
    while (*slot != pin)
        slot = &(*slot)->next;
    *slot = pin->next;
    mem_free(&pin->snapshotter);
    mem_free(&pin->key);
    free(pin);
}

/* Takes the lock and finds the pin, of which no Remove or Commit is under way. */
static struct pin *lock_decided(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    struct pin *pin = find_or_add(pins, snapshotter, key);
    pin->waiting++;
    while (pin->deciding)
        (void) pthread_cond_wait(&pins->changed, &pins->lock);
    pin->waiting--;
    return pin;
}

int pins_reserve(struct pins *pins, const char *snapshotter, const char *key, struct error *error)
{
    int rc = 0;
    (void) pthread_mutex_lock(&pins->lock);
    struct pin *pin = find_or_add(pins, snapshotter, key);
    if (pin->reserved)
        rc = error_set(error, ERROR_EXISTS,
                       "snapshot %s is being prepared by another request: wait for that one, or "
                       "use another key",
                       key);
    pin->reserved = true;
    (void) pthread_mutex_unlock(&pins->lock);
    return rc;
}

void pins_release(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    struct pin *pin = find(pins, snapshotter, key);
    pin->reserved = false;
    drop_if_unused(pins, pin);
    (void) pthread_mutex_unlock(&pins->lock);
}

bool pins_is_reserved(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    const struct pin *pin = find(pins, snapshotter, key);
    bool reserved = pin && pin->reserved;
    (void) pthread_mutex_unlock(&pins->lock);
    return reserved;
}

void pins_hold(struct pins *pins, const char *snapshotter, const char *key)
{
    struct pin *pin = lock_decided(pins, snapshotter, key);
    pin->held++;
    (void) pthread_mutex_unlock(&pins->lock);
}

void pins_unhold(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    struct pin *pin = find(pins, snapshotter, key);
    pin->held--;
    drop_if_unused(pins, pin);
    (void) pthread_mutex_unlock(&pins->lock);
}

bool pins_is_held(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    const struct pin *pin = find(pins, snapshotter, key);
    bool held = pin && pin->held > 0;
    (void) pthread_mutex_unlock(&pins->lock);
    return held;
}

int pins_begin_rebuild(struct pins *pins, const char *snapshotter, const char *key,
                       const struct cancel *cancel, struct error *error)
{
    struct pin *pin = lock_decided(pins, snapshotter, key);
    pin->held++;
    while (pin->rebuilding && !cancel_requested(cancel)) {
        struct timespec soon = clock_deadline(CANCEL_NOTICED_MS);
        (void) pthread_cond_timedwait(&pins->changed, &pins->lock, &soon);
    }
    bool mine = !pin->rebuilding;
    if (mine)
        pin->rebuilding = true;
    (void) pthread_mutex_unlock(&pins->lock);
    if (mine)
        return 0;
    pins_unhold(pins, snapshotter, key);
    return error_set(error, ERROR_CANCELLED, "the client has gone");
}

void pins_end_rebuild(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    find(pins, snapshotter, key)->rebuilding = false;
    (void) pthread_cond_broadcast(&pins->changed);
    (void) pthread_mutex_unlock(&pins->lock);
    pins_unhold(pins, snapshotter, key);
}

int pins_write(struct pins *pins, const char *snapshotter, const char *key, struct cancel *cancel,
               struct error *error)
{
    int rc = 0;
    struct pin *pin = lock_decided(pins, snapshotter, key);
    if (pin->writer)
        rc = error_set(error, ERROR_PRECONDITION,
                       "another layer is being unpacked into snapshot %s", key);
    else
        pin->writer = cancel;
    (void) pthread_mutex_unlock(&pins->lock);
    return rc;
}

void pins_unwrite(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    struct pin *pin = find(pins, snapshotter, key);
    pin->writer = NULL;
    drop_if_unused(pins, pin);
    (void) pthread_mutex_unlock(&pins->lock);
}

int pins_begin_removal(struct pins *pins, const char *snapshotter, const char *key,
                       struct error *error)
{
    int rc = 0;
    struct pin *pin = lock_decided(pins, snapshotter, key);
    if (pin->held)
        rc = error_set(error, ERROR_PRECONDITION,
                       "cannot remove snapshot %s: it is being cloned or compared", key);
    else
        pin->deciding = true;
    if (rc == 0 && pin->writer)
        cancel_request(pin->writer);
    (void) pthread_mutex_unlock(&pins->lock);
    return rc;
}

bool pins_begin_taking(struct pins *pins, const char *snapshotter, const char *key)
{
    struct pin *pin = lock_decided(pins, snapshotter, key);
    bool free_to_take = pin->held == 0;
    if (free_to_take)
        pin->deciding = true;
    else
        drop_if_unused(pins, pin);
    (void) pthread_mutex_unlock(&pins->lock);
    return free_to_take;
}

int pins_begin_commit(struct pins *pins, const char *snapshotter, const char *key,
                      struct error *error)
{
    int rc = 0;
    struct pin *pin = lock_decided(pins, snapshotter, key);
    if (pin->writer)
        rc = error_set(error, ERROR_PRECONDITION,
                       "snapshot %s cannot be committed: a layer is being unpacked into it", key);
    else
        pin->deciding = true;
    (void) pthread_mutex_unlock(&pins->lock);
    return rc;
}

void pins_decided(struct pins *pins, const char *snapshotter, const char *key)
{
    (void) pthread_mutex_lock(&pins->lock);
    struct pin *pin = find(pins, snapshotter, key);
    pin->deciding = false;
    (void) pthread_cond_broadcast(&pins->changed);
    drop_if_unused(pins, pin);
    (void) pthread_mutex_unlock(&pins->lock);
}
