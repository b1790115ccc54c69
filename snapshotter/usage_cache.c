/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/usage_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/mem.h"

#define BUCKETS 1024
/* A walk may use this share of one thread's time: 1 in 20. */
#define WALK_SHARE 20

struct figure {
    uint64_t tree;
    struct snapshot_usage usage;
    int64_t fresh_until_ms;
    struct figure *next;
};

struct usage_cache {
    unsigned minimum_ms;
    pthread_mutex_t lock;
    struct figure *buckets[BUCKETS]; /* under lock */
};

struct usage_cache *usage_cache_new(unsigned minimum_ms)
{
    struct usage_cache *cache = mem_alloc(sizeof *cache);
    cache->minimum_ms = minimum_ms;
    (void) pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void usage_cache_free(struct usage_cache *cache)
{
    if (!cache)
        return;
    for (size_t i = 0; i < BUCKETS; i++) {
        for (struct figure *next, *figure = cache->buckets[i]; figure; figure = next) {
            next = figure->next;
            free(figure);
        }
    }
    (void) pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* The place that points to the tree's figure, or to NULL where it would go. */
static struct figure **find(struct usage_cache *cache, uint64_t tree)
{
    struct figure **slot = &cache->buckets[tree % BUCKETS];
    while (*slot && (*slot)->tree != tree)
        slot = &(*slot)->next;
    return slot;
}

bool usage_cache_get(struct usage_cache *cache, uint64_t tree, struct snapshot_usage *out_usage)
{
    (void) pthread_mutex_lock(&cache->lock);
    const struct figure *figure = *find(cache, tree);
    bool fresh = figure && clock_monotonic_ms() < figure->fresh_until_ms;
    if (fresh)
        *out_usage = figure->usage;
    (void) pthread_mutex_unlock(&cache->lock);
    return fresh;
}

void usage_cache_put(struct usage_cache *cache, uint64_t tree, struct snapshot_usage usage,
                     int64_t walk_ms)
{
    int64_t fresh_ms = walk_ms * WALK_SHARE;
    if (fresh_ms < cache->minimum_ms)
        fresh_ms = cache->minimum_ms;
    (void) pthread_mutex_lock(&cache->lock);
    struct figure **slot = find(cache, tree);
    if (!*slot) {
        *slot = mem_alloc(sizeof **slot);
        (*slot)->tree = tree;
    }
    (*slot)->usage = usage;
    (*slot)->fresh_until_ms = clock_monotonic_ms() + fresh_ms;
    (void) pthread_mutex_unlock(&cache->lock);
}

void usage_cache_drop(struct usage_cache *cache, uint64_t tree)
{
    (void) pthread_mutex_lock(&cache->lock);
    struct figure **slot = find(cache, tree);
    struct figure *figure = *slot;
    if (figure)
        *slot = figure->next;
    (void) pthread_mutex_unlock(&cache->lock);
    free(figure);
}
