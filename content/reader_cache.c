/* SPDX-License-Identifier: Apache-2.0 */
#include "content/reader_cache.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/mem.h"

/* A pull reads a few blobs at a time, a garbage collection none. */
enum { PLACES = 64 };

struct reader_cache {
    pthread_mutex_t lock;
    uint64_t uses;                   /* under lock, like all below: a clock */
    struct open_blob *blobs[PLACES]; /* NULL: free */
    uint64_t used[PLACES];           /* when, by that clock */
};

struct open_blob *open_blob_new(int take_fd, const struct blob_record *record,
                                const struct file_stamp *stamp)
{
    struct open_blob *blob = mem_alloc(sizeof *blob);
    *blob = (struct open_blob){
        .fd = take_fd, .size = record->size, .stamp = *stamp, .digest = record->digest};
    atomic_init(&blob->references, 1);
    return blob;
}

void open_blob_unref(struct open_blob *blob)
{
    if (!blob || atomic_fetch_sub(&blob->references, 1) != 1)
        return;
    fd_close(&blob->fd);
    free(blob);
}

struct reader_cache *reader_cache_new(void)
{
    struct reader_cache *cache = mem_alloc(sizeof *cache);
    (void) pthread_mutex_init(&cache->lock, NULL);
    return cache;
}

void reader_cache_free(struct reader_cache *cache)
{
    for (int i = 0; i < PLACES; i++)
        open_blob_unref(cache->blobs[i]);
    (void) pthread_mutex_destroy(&cache->lock);
    free(cache);
}

/* Under the lock: the place of the digest, or -1. */
static int find(const struct reader_cache *cache, const struct digest *digest)
{
    for (int i = 0; i < PLACES; i++)
        if (cache->blobs[i] && digest_equal(&cache->blobs[i]->digest, digest))
            return i;
    return -1;
}

struct open_blob *reader_cache_get(struct reader_cache *cache, const struct digest *digest)
{
    struct open_blob *blob = NULL;
    (void) pthread_mutex_lock(&cache->lock);
    int place = find(cache, digest);
    if (place >= 0) {
        blob = cache->blobs[place];
        atomic_fetch_add(&blob->references, 1);
        cache->used[place] = ++cache->uses;
    }
    (void) pthread_mutex_unlock(&cache->lock);
    return blob;
}

void reader_cache_put(struct reader_cache *cache, struct open_blob *blob)
{
    int place = 0;
    atomic_fetch_add(&blob->references, 1);
    (void) pthread_mutex_lock(&cache->lock);
    int same = find(cache, &blob->digest);
    for (int i = 1; i < PLACES; i++)
        if (cache->used[i] < cache->used[place])
            place = i;
    if (same >= 0)
        place = same;
    struct open_blob *old = cache->blobs[place];
    cache->blobs[place] = blob;
    cache->used[place] = ++cache->uses;
    (void) pthread_mutex_unlock(&cache->lock);
    open_blob_unref(old);
}

void reader_cache_drop(struct reader_cache *cache, const struct digest *digest)
{
    struct open_blob *old = NULL;
    (void) pthread_mutex_lock(&cache->lock);
    int place = find(cache, digest);
    if (place >= 0) {
        old = cache->blobs[place];
        cache->blobs[place] = NULL;
        cache->used[place] = 0;
    }
    (void) pthread_mutex_unlock(&cache->lock);
    open_blob_unref(old);
}
