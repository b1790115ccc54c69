/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/pool.h"

#include <pthread.h>
#include <string.h>

#include "base/mem.h"

enum {
    PARENTS_MAX = 64, /* remembered */
    SPARES_MAX = 128, /* of all parents */
    PARENT_SPARES_MAX = 64,
    PARENT_COPIES_MAX = 8,       /* the same where all is copied */
    TOP_SPARES_MAX = 32,         /* of what was just unpacked */
    QUIET_MS = 3000,             /* an unpacker goes on sooner; all is quiet after it */
    BURST_MS = 10 * 60 * 1000,   /* uses since then count, or are expected until then */
    IDLE_MS = 60 * 60 * 1000,    /* without a use */
    PAUSE_MS = 10 * 60 * 1000,   /* after a failure */
    ENTRIES_MAX = 2000000,       /* files of all spares */
    PARENT_ENTRIES_MAX = 800000, /* files of the spares of one parent, if it has more than one */
    TOP_ENTRIES_MAX = 600000     /* the same of what was just unpacked */
};

/* A parent, linked from the most recently used one on. */
struct parent {
    struct parent *next;
    char *snapshotter;
    char *key;
    int64_t used_ms;                    /* last, or became the top */
    int64_t expected_until_ms;          /* uses are, of a top */
    int64_t wanted_ms;                  /* not before */
    int64_t uses_ms[PARENT_SPARES_MAX]; /* the last ones, in a ring */
    unsigned use_count;
    struct spare_record spares[PARENT_SPARES_MAX]; /* the oldest first */
    unsigned count;
    uint64_t entries; /* of its tree; 0 = not known yet */
};

struct pool {
    unsigned parent_spares_max; /* set once, as the next */
    unsigned top_spares_max;
    pthread_mutex_t lock;
    struct parent *first; /* under lock, as all below */
    unsigned parent_count;
    unsigned spare_count;
    uint64_t entries;
    int64_t news_ms;    /* the last use, or the last thing that an unpacker did */
    unsigned unpacking; /* layers right now */
};

struct pool *pool_new(bool clones_share_data)
{
    struct pool *pool = mem_alloc(sizeof *pool);
    pool->parent_spares_max = clones_share_data ? PARENT_SPARES_MAX : PARENT_COPIES_MAX;
    pool->top_spares_max = clones_share_data ? TOP_SPARES_MAX : 1;
    (void) pthread_mutex_init(&pool->lock, NULL);
    return pool;
}

static void free_parent(struct parent *parent)
{
    for (unsigned i = 0; i < parent->count; i++)
        spare_record_clear(&parent->spares[i]);
    mem_free(&parent->snapshotter);
    mem_free(&parent->key);
    mem_free(&parent);
}

void pool_free(struct pool *pool)
{
    if (!pool)
        return;
    while (pool->first) {
        struct parent *parent = pool->first;
        pool->first = parent->next;
        free_parent(parent);
    }
    (void) pthread_mutex_destroy(&pool->lock);
    mem_free(&pool);
}

static struct parent **place_of(struct pool *pool, const char *snapshotter, const char *key)
{
    struct parent **place = &pool->first;
    while (*place &&
           (strcmp((*place)->key, key) != 0 || strcmp((*place)->snapshotter, snapshotter) != 0))
        place = &(*place)->next;
    return place;
}

static void push(struct pool *pool, struct parent *parent)
{
    parent->next = pool->first;
    pool->first = parent;
}

/* The last one that has no spares is forgotten if there are too many, but not the first of all. */
static void bound_parents(struct pool *pool)
{
    struct parent **last = NULL;
    if (pool->parent_count <= PARENTS_MAX)
        return;
    for (struct parent **place = &pool->first->next; *place; place = &(*place)->next)
        if ((*place)->count == 0)
            last = place;
    if (!last)
        return;
    struct parent *parent = *last;
    *last = parent->next;
    pool->parent_count--;
    free_parent(parent);
}

/* The parent, first in the list from now on; made if it is not there. */
static struct parent *touch(struct pool *pool, const char *snapshotter, const char *key)
{
    struct parent **place = place_of(pool, snapshotter, key);
    struct parent *parent = *place;
    if (parent) {
        *place = parent->next;
    } else {
        parent = mem_alloc(sizeof *parent);
        parent->snapshotter = mem_strdup(snapshotter);
        parent->key = mem_strdup(key);
        pool->parent_count++;
    }
    push(pool, parent);
    bound_parents(pool);
    return parent;
}

static unsigned used_lately(const struct parent *parent, int64_t now_ms)
{
    unsigned count = 0;
    unsigned known = parent->use_count < PARENT_SPARES_MAX ? parent->use_count : PARENT_SPARES_MAX;
    for (unsigned i = 0; i < known; i++)
        count += now_ms - parent->uses_ms[i] <= BURST_MS;
    return count;
}

/* As many as have no more files than that together; one also as long as nobody knows how many
 * files one has. */
static unsigned bounded(const struct parent *parent, uint64_t entries_max, unsigned spares_max)
{
    uint64_t most = parent->entries > 0 ? entries_max / parent->entries : 1;
    if (most > spares_max)
        most = spares_max;
    return most > 1 ? (unsigned) most : 1;
}

static unsigned wanted(const struct pool *pool, const struct parent *parent, int64_t now_ms)
{
    if (now_ms - parent->used_ms > IDLE_MS)
        return 0;
    unsigned most = bounded(parent, PARENT_ENTRIES_MAX, pool->parent_spares_max);
    unsigned count = used_lately(parent, now_ms);
    unsigned expected = 1;
    if (now_ms < parent->expected_until_ms)
        expected = bounded(parent, TOP_ENTRIES_MAX, pool->top_spares_max);
    if (count > most)
        count = most;
    return count > expected ? count : expected;
}

static bool wants(const struct pool *pool, const struct parent *parent, int64_t now_ms)
{
    return now_ms >= parent->wanted_ms && parent->count < wanted(pool, parent, now_ms);
}

static bool is_quiet(const struct pool *pool, int64_t now_ms)
{
    return pool->unpacking == 0 && now_ms - pool->news_ms >= QUIET_MS;
}

/* Another one is only expected to be used; the first is not one of those. */
static bool is_expectation(const struct parent *parent, int64_t now_ms)
{
    return parent->count > 0 && parent->count >= used_lately(parent, now_ms);
}

static bool has_room(const struct pool *pool, unsigned share)
{
    return pool->spare_count < SPARES_MAX / share && pool->entries < ENTRIES_MAX / share;
}

static const struct parent *find_wanting(const struct pool *pool, int64_t now_ms, bool expectation)
{
    const struct parent *parent = pool->first;
    while (parent &&
           (!wants(pool, parent, now_ms) || is_expectation(parent, now_ms) != expectation))
        parent = parent->next;
    return parent;
}

bool pool_note_use(struct pool *pool, const char *snapshotter, const char *parent, int64_t now_ms)
{
    (void) pthread_mutex_lock(&pool->lock);
    struct parent *used = touch(pool, snapshotter, parent);
    used->used_ms = pool->news_ms = now_ms;
    used->uses_ms[used->use_count++ % PARENT_SPARES_MAX] = now_ms;
    bool wants_one = wants(pool, used, now_ms);
    (void) pthread_mutex_unlock(&pool->lock);
    return wants_one;
}

void pool_note_top(struct pool *pool, const char *snapshotter, const char *parent, int64_t now_ms)
{
    (void) pthread_mutex_lock(&pool->lock);
    struct parent *top = touch(pool, snapshotter, parent);
    top->used_ms = pool->news_ms = now_ms;
    top->wanted_ms = now_ms + QUIET_MS;
    top->expected_until_ms = now_ms + BURST_MS;
    (void) pthread_mutex_unlock(&pool->lock);
}

static void forget(struct pool *pool, struct parent **place)
{
    struct parent *parent = *place;
    *place = parent->next;
    pool->parent_count--;
    pool->spare_count -= parent->count;
    for (unsigned i = 0; i < parent->count; i++)
        pool->entries -= parent->spares[i].entries;
    free_parent(parent);
}

void pool_note_layer(struct pool *pool, const char *snapshotter, const char *parent, int64_t now_ms)
{
    (void) pthread_mutex_lock(&pool->lock);
    pool->news_ms = now_ms;
    struct parent **place = place_of(pool, snapshotter, parent);
    if (*place && (*place)->count == 0 && (*place)->use_count == 0)
        forget(pool, place);
    else if (*place)
        (*place)->expected_until_ms = 0;
    (void) pthread_mutex_unlock(&pool->lock);
}

void pool_begin_unpacking(struct pool *pool)
{
    (void) pthread_mutex_lock(&pool->lock);
    pool->unpacking++;
    (void) pthread_mutex_unlock(&pool->lock);
}

void pool_end_unpacking(struct pool *pool, int64_t now_ms)
{
    (void) pthread_mutex_lock(&pool->lock);
    pool->unpacking--;
    pool->news_ms = now_ms;
    (void) pthread_mutex_unlock(&pool->lock);
}

bool pool_is_quiet(struct pool *pool, int64_t now_ms)
{
    (void) pthread_mutex_lock(&pool->lock);
    bool quiet = is_quiet(pool, now_ms);
    (void) pthread_mutex_unlock(&pool->lock);
    return quiet;
}

void pool_forget(struct pool *pool, const char *snapshotter, const char *parent)
{
    (void) pthread_mutex_lock(&pool->lock);
    struct parent **place = place_of(pool, snapshotter, parent);
    if (*place)
        forget(pool, place);
    (void) pthread_mutex_unlock(&pool->lock);
}

void pool_pause(struct pool *pool, const char *snapshotter, const char *parent, int64_t now_ms)
{
    (void) pthread_mutex_lock(&pool->lock);
    struct parent *paused = *place_of(pool, snapshotter, parent);
    if (paused)
        paused->wanted_ms = now_ms + PAUSE_MS;
    (void) pthread_mutex_unlock(&pool->lock);
}

/* Takes out the oldest. */
static void take_from(struct pool *pool, struct parent *parent, struct spare_record *out_spare)
{
    *out_spare = parent->spares[0];
    parent->count--;
    memmove(parent->spares, parent->spares + 1, parent->count * sizeof parent->spares[0]);
    pool->spare_count--;
    pool->entries -= out_spare->entries;
}

bool pool_take(struct pool *pool, const char *snapshotter, const char *parent,
               struct spare_record *out_spare)
{
    (void) pthread_mutex_lock(&pool->lock);
    struct parent *found = *place_of(pool, snapshotter, parent);
    bool taken = found && found->count > 0;
    if (taken)
        take_from(pool, found, out_spare);
    (void) pthread_mutex_unlock(&pool->lock);
    return taken;
}

bool pool_put(struct pool *pool, struct spare_record *take_spare)
{
    (void) pthread_mutex_lock(&pool->lock);
    struct parent *parent = *place_of(pool, take_spare->snapshotter, take_spare->parent);
    if (!parent)
        parent = touch(pool, take_spare->snapshotter, take_spare->parent);
    bool room = parent->count < PARENT_SPARES_MAX;
    if (room) {
        pool->spare_count++;
        pool->entries += take_spare->entries;
        parent->entries = take_spare->entries;
        parent->spares[parent->count++] = *take_spare;
        *take_spare = SPARE_RECORD_NULL;
    }
    (void) pthread_mutex_unlock(&pool->lock);
    return room;
}

bool pool_is_empty(struct pool *pool)
{
    (void) pthread_mutex_lock(&pool->lock);
    bool empty = !pool->first;
    (void) pthread_mutex_unlock(&pool->lock);
    return empty;
}

bool pool_wants(struct pool *pool, int64_t now_ms, char **out_snapshotter, char **out_parent)
{
    const struct parent *parent = NULL;
    (void) pthread_mutex_lock(&pool->lock);
    if (has_room(pool, 1))
        parent = find_wanting(pool, now_ms, false);
    if (!parent && has_room(pool, 2) && is_quiet(pool, now_ms))
        parent = find_wanting(pool, now_ms, true);
    if (parent) {
        *out_snapshotter = mem_strdup(parent->snapshotter);
        *out_parent = mem_strdup(parent->key);
    }
    (void) pthread_mutex_unlock(&pool->lock);
    return parent != NULL;
}

bool pool_take_surplus(struct pool *pool, int64_t now_ms, bool all, struct spare_record *out_spare)
{
    struct parent *last = NULL;
    (void) pthread_mutex_lock(&pool->lock);
    for (struct parent *parent = pool->first; parent; parent = parent->next)
        if (parent->count > 0 && (all || parent->count > wanted(pool, parent, now_ms)))
            last = parent;
    if (last)
        take_from(pool, last, out_spare);
    (void) pthread_mutex_unlock(&pool->lock);
    return last != NULL;
}
