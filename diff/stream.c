/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "diff/decode.h"

/*
 * A ring of blocks. The decoder's thread fills them in turn; the digest's thread and the caller
 * take each in turn, at their own pace; one that both are done with is filled again. Three counters
 * say where each of them is. Threads are woken for several blocks at a time, since a block is done
 * in about 100 us.
 */
#define BLOCK_BYTES ((size_t) 256 << 10)
enum {
    BLOCKS = LAYER_STREAM_BYTES / BLOCK_BYTES,
    BLOCKS_TO_TAKE = 3, /* so many wake who waits for filled ones */
    BLOCKS_TO_FILL = 8, /* so many wake who waits for free ones */
    CANCEL_INTERVAL_MS = 50
};
#define RATIO_FREE_BYTES ((uint64_t) 64 << 20)

struct block {
    uint8_t *data; /* set once */
    size_t size;   /* by the decoder before it counts as filled */
};

struct layer_stream {
    struct layer_stream_options options; /* set once, as the next two */
    uint8_t *memory;
    struct block blocks[BLOCKS];
    pthread_t decoder_thread;
    pthread_t digest_thread;
    bool decoder_started;
    bool digest_started;
    struct cancel stop; /* by layer_stream_clear */

    struct feed feed; /* of the decoder's thread, until it ended */
    struct layer_decoder *decoder;
    uint64_t bytes;
    struct digester *digester; /* of the digest's thread, until all is digested */

    pthread_mutex_t lock;
    pthread_cond_t fill;   /* for the decoder's thread */
    pthread_cond_t digest; /* for the digest's thread */
    pthread_cond_t take;   /* for the caller */
    uint64_t filled;       /* blocks since the beginning; under lock, like all below */
    uint64_t digested;
    uint64_t taken;
    bool fill_waits;
    bool digest_waits;
    bool take_waits;
    bool ended;         /* no more are filled */
    int outcome;        /* of the decoder */
    struct error error; /* unless it is 0 */
    bool holds;         /* the caller has block number taken */
};

static bool is_stopped(const struct layer_stream *stream)
{
    return cancel_requested(&stream->stop);
}

/* Wakes who waits for filled blocks, if there are enough for it. */
static void wake_takers(struct layer_stream *stream)
{
    if (stream->digest_waits &&
        (stream->ended || stream->filled - stream->digested >= BLOCKS_TO_TAKE))
        (void) pthread_cond_signal(&stream->digest);
    if (stream->take_waits && (stream->ended || stream->filled - stream->taken >= BLOCKS_TO_TAKE))
        (void) pthread_cond_signal(&stream->take);
}

static unsigned count_free(const struct layer_stream *stream)
{
    uint64_t done = stream->digested < stream->taken ? stream->digested : stream->taken;
    return (unsigned) (BLOCKS - (stream->filled - done));
}

static void wake_filler(struct layer_stream *stream)
{
    if (stream->fill_waits && count_free(stream) >= BLOCKS_TO_FILL)
        (void) pthread_cond_signal(&stream->fill);
}

/* The block to fill next; NULL when the stream is being cleared. */
static struct block *wait_for_free(struct layer_stream *stream)
{
    (void) pthread_mutex_lock(&stream->lock);
    if (count_free(stream) == 0) {
        stream->fill_waits = true;
        while (count_free(stream) < BLOCKS_TO_FILL && !is_stopped(stream))
            (void) pthread_cond_wait(&stream->fill, &stream->lock);
        stream->fill_waits = false;
    }
    struct block *block = &stream->blocks[stream->filled % BLOCKS];
    (void) pthread_mutex_unlock(&stream->lock);
    return is_stopped(stream) ? NULL : block;
}

static int check_limits(const struct layer_stream *stream, struct error *error)
{
    const struct layer_stream_options *options = &stream->options;
    if (options->max_bytes && stream->bytes > options->max_bytes)
        return error_set(error, ERROR_NO_SPACE,
                         "the layer has more than %llu bytes when unpacked, which is the limit",
                         (unsigned long long) options->max_bytes);
    if (options->max_ratio && stream->bytes > RATIO_FREE_BYTES &&
        (stream->bytes - RATIO_FREE_BYTES) / options->max_ratio > stream->feed.bytes)
        return error_set(error, ERROR_INVALID,
                         "the layer grows to more than %u times its size when unpacked, which is "
                         "the limit",
                         options->max_ratio);
    return 0;
}

/* 1 = a block was filled, 0 at the end, or an error code. */
static int fill_block(struct layer_stream *stream, struct error *error)
{
    struct block *block = wait_for_free(stream);
    if (!block)
        return error_set(error, ERROR_CANCELLED, "the layer is not wanted any more");
    ssize_t got = stream->decoder->read(stream->decoder, block->data, BLOCK_BYTES, error);
    if (got <= 0)
        return (int) got;
    stream->bytes += (uint64_t) got;
    int rc = check_limits(stream, error);
    if (rc != 0)
        return rc;
    block->size = (size_t) got;
    (void) pthread_mutex_lock(&stream->lock);
    stream->filled++;
    wake_takers(stream);
    (void) pthread_mutex_unlock(&stream->lock);
    return 1;
}

static void *run_decoder(void *argument)
{
    struct layer_stream *stream = argument;
    struct error error = {0};
    int rc = layer_decoder_open(&stream->feed, stream->options.raw, &stream->decoder, &error);
    if (rc == 0) {
        do
            rc = fill_block(stream, &error);
        while (rc > 0);
    }
    (void) pthread_mutex_lock(&stream->lock);
    stream->ended = true;
    stream->outcome = rc;
    stream->error = error;
    wake_takers(stream);
    (void) pthread_mutex_unlock(&stream->lock);
    return NULL;
}

static void *run_digest(void *argument)
{
    struct layer_stream *stream = argument;
    (void) pthread_mutex_lock(&stream->lock);
    for (;;) {
        stream->digest_waits = true;
        while (stream->filled == stream->digested && !stream->ended && !is_stopped(stream))
            (void) pthread_cond_wait(&stream->digest, &stream->lock);
        stream->digest_waits = false;
        if (stream->filled == stream->digested || is_stopped(stream))
            break;
        const struct block *block = &stream->blocks[stream->digested % BLOCKS];
        (void) pthread_mutex_unlock(&stream->lock);
        digester_add(stream->digester, block->data, block->size);
        (void) pthread_mutex_lock(&stream->lock);
        stream->digested++;
        wake_filler(stream);
    }
    if (stream->take_waits) /* layer_stream_finish */
        (void) pthread_cond_signal(&stream->take);
    (void) pthread_mutex_unlock(&stream->lock);
    return NULL;
}

static void init(struct layer_stream *stream, uint8_t *memory, struct layer_source *source,
                 const struct layer_stream_options *options)
{
    stream->options = *options;
    stream->memory = memory;
    for (size_t i = 0; i < BLOCKS; i++)
        stream->blocks[i].data = stream->memory + i * BLOCK_BYTES;
    feed_init(&stream->feed, source, options->cancel, &stream->stop);
    stream->digester = digester_new(DIGEST_SHA256);
    (void) pthread_mutex_init(&stream->lock, NULL);
    (void) pthread_cond_init(&stream->fill, NULL);
    (void) pthread_cond_init(&stream->digest, NULL);
    (void) pthread_cond_init(&stream->take, NULL);
}

int layer_stream_open(struct layer_source *source, const struct layer_stream_options *options,
                      struct layer_stream **out_stream, struct error *error)
{
    /* Not from the heap: what is not used is not there, and what was used goes back at once. */
    const int access = PROT_READ | PROT_WRITE;
    const int kind = MAP_PRIVATE | MAP_ANONYMOUS;
    /* cppcheck-suppress invalidFunctionArg ; mmap(2) has no file then */
    void *memory = mmap(NULL, LAYER_STREAM_BYTES, access, kind, -1, 0);
    if (memory == MAP_FAILED)
        return error_errno(error, "there is no memory for the layer");
    struct layer_stream *stream = mem_alloc(sizeof *stream);
    init(stream, memory, source, options);
    int rc = thread_start(&stream->decoder_thread, "inflate", run_decoder, stream, error);
    stream->decoder_started = rc == 0;
    if (rc == 0)
        rc = thread_start(&stream->digest_thread, "layer digest", run_digest, stream, error);
    stream->digest_started = rc == 0 && stream->decoder_started;
    if (rc != 0) {
        layer_stream_clear(&stream);
        return rc;
    }
    *out_stream = stream;
    return 0;
}

/* Waits a moment, under lock; ERROR_CANCELLED. */
static int wait_a_moment(struct layer_stream *stream, struct error *error)
{
    stream->take_waits = true;
    if (stream->options.cancel) {
        struct timespec deadline = clock_deadline(CANCEL_INTERVAL_MS);
        (void) pthread_cond_timedwait(&stream->take, &stream->lock, &deadline);
    } else {
        (void) pthread_cond_wait(&stream->take, &stream->lock);
    }
    stream->take_waits = false;
    if (cancel_requested(stream->options.cancel))
        return error_set(error, ERROR_CANCELLED, "reading the layer was cancelled");
    return 0;
}

/* Under lock; the same answers as layer_stream_next. */
static int next_block(struct layer_stream *stream, struct error *error)
{
    if (stream->holds) {
        stream->holds = false;
        stream->taken++;
        wake_filler(stream);
    }
    if (cancel_requested(stream->options.cancel))
        return error_set(error, ERROR_CANCELLED, "reading the layer was cancelled");
    while (stream->filled == stream->taken && !stream->ended) {
        int rc = wait_a_moment(stream, error);
        if (rc != 0)
            return rc;
    }
    stream->holds = stream->filled > stream->taken;
    if (stream->holds)
        return 1;
    if (stream->outcome == 0)
        return 0;
    if (error)
        *error = stream->error;
    return stream->outcome;
}

int layer_stream_next(struct layer_stream *stream, const void **out_data, size_t *out_size,
                      struct error *error)
{
    (void) pthread_mutex_lock(&stream->lock);
    int rc = next_block(stream, error);
    if (rc == 1) {
        const struct block *block = &stream->blocks[stream->taken % BLOCKS];
        *out_data = block->data;
        *out_size = block->size;
    }
    (void) pthread_mutex_unlock(&stream->lock);
    return rc;
}

int layer_stream_finish(struct layer_stream *stream, struct layer_stream_result *out_result,
                        struct error *error)
{
    int rc = 0;
    (void) pthread_mutex_lock(&stream->lock);
    do
        rc = next_block(stream, error);
    while (rc > 0);
    while (rc == 0 && stream->digested < stream->filled)
        rc = wait_a_moment(stream, error);
    if (rc == 0) { /* the threads have no more to do */
        out_result->bytes = stream->bytes;
        out_result->source_bytes = stream->feed.bytes;
        digester_read(stream->digester, &out_result->digest);
    }
    (void) pthread_mutex_unlock(&stream->lock);
    return rc;
}

static void stop(struct layer_stream *stream)
{
    (void) pthread_mutex_lock(&stream->lock);
    cancel_request(&stream->stop);
    (void) pthread_cond_signal(&stream->fill);
    (void) pthread_cond_signal(&stream->digest);
    (void) pthread_mutex_unlock(&stream->lock);
    if (stream->decoder_started)
        (void) pthread_join(stream->decoder_thread, NULL);
    if (stream->digest_started)
        (void) pthread_join(stream->digest_thread, NULL);
}

void layer_stream_clear(struct layer_stream **stream_address)
{
    struct layer_stream *stream = *stream_address;
    *stream_address = NULL;
    if (!stream)
        return;
    stop(stream);
    layer_decoder_free(stream->decoder);
    feed_clear(&stream->feed);
    digester_free(stream->digester);
    (void) munmap(stream->memory, LAYER_STREAM_BYTES);
    (void) pthread_mutex_destroy(&stream->lock);
    (void) pthread_cond_destroy(&stream->fill);
    (void) pthread_cond_destroy(&stream->digest);
    (void) pthread_cond_destroy(&stream->take);
    free(stream);
}
