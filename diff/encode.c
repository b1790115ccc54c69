/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/encode.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/mem.h"
#include "base/thread.h"
#include "diff/gzip.h"
#include "diff/pack.h"

/*
 * A ring of pieces. The caller fills them in turn. Workers, all alike, do what can be done next:
 * write the oldest piece to the sink, add a piece to the digest of the uncompressed bytes, pack a
 * piece. The first two are done by one worker at a time, in the order of the pieces; a piece that
 * is through all three is filled again.
 */
enum { THREADS_MAX = 4, THREADS_LIMIT = 16, PIECES_MORE = 3, CANCEL_INTERVAL_MS = 50 };

enum task { TASK_NONE, TASK_WRITE, TASK_DIGEST, TASK_PACK };

struct piece {
    uint8_t *plain; /* set once; the caller's until it counts as filled */
    size_t plain_size;
    uint8_t *packed; /* set once; NULL if the layer is not compressed */
    size_t packed_size;
    bool is_packed; /* under lock */
};

struct layer_encoder {
    struct layer_sink *sink;              /* set once, as all down to the threads */
    struct layer_encoder_options options; /* threads: how many */
    size_t piece_size;
    struct piece *pieces;
    unsigned piece_count;
    pthread_t threads[THREADS_LIMIT];
    unsigned started;

    size_t filling; /* bytes in the piece being filled; the caller's */

    uint32_t crc32; /* of those who digest, as the next two */
    uint64_t plain_bytes;
    struct digester *plain_digester;
    uint64_t bytes; /* of those who write, as the next one */
    struct digester *digester;

    pthread_mutex_t lock;
    pthread_cond_t work; /* for workers */
    pthread_cond_t room; /* for the caller */
    uint64_t filled;     /* pieces since the beginning; under lock, like all below */
    uint64_t claimed;    /* given to be packed */
    uint64_t digested;
    uint64_t written;
    bool digesting;
    bool writing;
    bool stopping;
    int outcome;        /* of the first failure */
    struct error error; /* unless it is 0 */
};

static struct piece *piece_at(const struct layer_encoder *encoder, uint64_t number)
{
    return &encoder->pieces[number % encoder->piece_count];
}

/* Under lock. */
static enum task choose(struct layer_encoder *encoder, uint64_t *out_number)
{
    if (!encoder->writing && encoder->written < encoder->filled &&
        piece_at(encoder, encoder->written)->is_packed) {
        encoder->writing = true;
        *out_number = encoder->written;
        return TASK_WRITE;
    }
    if (!encoder->digesting && encoder->digested < encoder->filled) {
        encoder->digesting = true;
        *out_number = encoder->digested;
        return TASK_DIGEST;
    }
    if (encoder->claimed < encoder->filled) {
        *out_number = encoder->claimed++;
        return TASK_PACK;
    }
    return TASK_NONE;
}

static int write_out(struct layer_encoder *encoder, const void *data, size_t size,
                     struct error *error)
{
    if (cancel_requested(encoder->options.cancel))
        return error_set(error, ERROR_CANCELLED, "writing the layer was cancelled");
    if (encoder->digester)
        digester_add(encoder->digester, data, size);
    encoder->bytes += size;
    return encoder->sink->write(encoder->sink, data, size, error);
}

static int write_head(struct layer_encoder *encoder, struct error *error)
{
    uint8_t head[PACK_EDGE_MAX];
    size_t size = pack_head(encoder->options.compression, head);
    return size > 0 ? write_out(encoder, head, size, error) : 0;
}

static int write_piece(struct layer_encoder *encoder, uint64_t number, struct error *error)
{
    const struct piece *piece = piece_at(encoder, number);
    int rc = number == 0 ? write_head(encoder, error) : 0;
    if (rc != 0)
        return rc;
    if (piece->packed)
        return write_out(encoder, piece->packed, piece->packed_size, error);
    return piece->plain_size > 0 ? write_out(encoder, piece->plain, piece->plain_size, error) : 0;
}

static void digest_piece(struct layer_encoder *encoder, uint64_t number)
{
    const struct piece *piece = piece_at(encoder, number);
    digester_add(encoder->plain_digester, piece->plain, piece->plain_size);
    if (encoder->options.compression == LAYER_GZIP)
        encoder->crc32 = gzip_crc32(encoder->crc32, piece->plain, piece->plain_size);
    encoder->plain_bytes += piece->plain_size;
}

static void pack_piece(struct layer_encoder *encoder, struct packer *packer, uint64_t number)
{
    struct piece *piece = piece_at(encoder, number);
    if (piece->packed)
        piece->packed_size = packer_run(packer, piece->plain, piece->plain_size, piece->packed);
}

/* Under lock: the task is done. */
static void conclude(struct layer_encoder *encoder, enum task task, uint64_t number, int rc,
                     const struct error *error)
{
    if (task == TASK_WRITE) {
        encoder->writing = false;
        encoder->written++;
    } else if (task == TASK_DIGEST) {
        encoder->digesting = false;
        encoder->digested++;
    } else {
        piece_at(encoder, number)->is_packed = true;
    }
    if (rc != 0 && encoder->outcome == 0) {
        encoder->outcome = rc;
        encoder->error = *error;
        (void) pthread_cond_broadcast(&encoder->work);
    }
    if (task != TASK_PACK)
        (void) pthread_cond_signal(&encoder->room);
}

static void run_task(struct layer_encoder *encoder, struct packer *packer, enum task task,
                     uint64_t number)
{
    struct error error = {0};
    int rc = 0;
    (void) pthread_mutex_unlock(&encoder->lock);
    if (task == TASK_WRITE)
        rc = write_piece(encoder, number, &error);
    else if (task == TASK_DIGEST)
        digest_piece(encoder, number);
    else
        pack_piece(encoder, packer, number);
    (void) pthread_mutex_lock(&encoder->lock);
    conclude(encoder, task, number, rc, &error);
}

static void *work(void *argument)
{
    struct layer_encoder *encoder = argument;
    struct packer *packer = packer_new(encoder->options.compression);
    (void) pthread_mutex_lock(&encoder->lock);
    while (!encoder->stopping && encoder->outcome == 0) {
        uint64_t number = 0;
        enum task task = choose(encoder, &number);
        if (task == TASK_NONE)
            (void) pthread_cond_wait(&encoder->work, &encoder->lock);
        else
            run_task(encoder, packer, task, number);
    }
    (void) pthread_mutex_unlock(&encoder->lock);
    packer_free(packer);
    return NULL;
}

static unsigned count_threads(unsigned wanted)
{
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted > 0)
        return wanted < THREADS_LIMIT ? wanted : THREADS_LIMIT;
    if (cpus < 1)
        return 1;
    return cpus < THREADS_MAX ? (unsigned) cpus : THREADS_MAX;
}

static void init(struct layer_encoder *encoder, struct layer_sink *sink,
                 const struct layer_encoder_options *options)
{
    enum layer_compression compression = options->compression;
    encoder->sink = sink;
    encoder->options = *options;
    encoder->options.threads = count_threads(options->threads);
    encoder->piece_size = pack_piece_size(compression);
    encoder->piece_count = encoder->options.threads + PIECES_MORE;
    encoder->pieces = mem_alloc_array(encoder->piece_count, sizeof *encoder->pieces);
    for (unsigned i = 0; i < encoder->piece_count; i++) {
        encoder->pieces[i].plain = mem_alloc(encoder->piece_size);
        if (compression != LAYER_PLAIN)
            encoder->pieces[i].packed = mem_alloc(pack_bound(compression));
    }
    encoder->plain_digester = digester_new(DIGEST_SHA256);
    if (compression != LAYER_PLAIN)
        encoder->digester = digester_new(DIGEST_SHA256);
    (void) pthread_mutex_init(&encoder->lock, NULL);
    (void) pthread_cond_init(&encoder->work, NULL);
    (void) pthread_cond_init(&encoder->room, NULL);
}

int layer_encoder_open(struct layer_sink *sink, const struct layer_encoder_options *options,
                       struct layer_encoder **out_encoder, struct error *error)
{
    struct layer_encoder *encoder = mem_alloc(sizeof *encoder);
    init(encoder, sink, options);
    while (encoder->started < encoder->options.threads) {
        int rc =
            thread_start(&encoder->threads[encoder->started], "compress", work, encoder, error);
        if (rc != 0) {
            layer_encoder_clear(&encoder);
            return rc;
        }
        encoder->started++;
    }
    *out_encoder = encoder;
    return 0;
}

/* Under lock: 0, or why the layer cannot go on. */
static int check(struct layer_encoder *encoder, struct error *error)
{
    if (encoder->outcome != 0 && error)
        *error = encoder->error;
    if (encoder->outcome != 0)
        return encoder->outcome;
    if (cancel_requested(encoder->options.cancel))
        return error_set(error, ERROR_CANCELLED, "writing the layer was cancelled");
    return 0;
}

/* Under lock: waits until at most so many pieces are not through. */
static int wait_until_left(struct layer_encoder *encoder, unsigned count, struct error *error)
{
    for (;;) {
        uint64_t through =
            encoder->digested < encoder->written ? encoder->digested : encoder->written;
        int rc = check(encoder, error);
        if (rc != 0 || encoder->filled - through <= count)
            return rc;
        struct timespec deadline = clock_deadline(CANCEL_INTERVAL_MS);
        (void) pthread_cond_timedwait(&encoder->room, &encoder->lock, &deadline);
    }
}

/* The piece being filled is given to the workers; the next one is free then. */
static int submit(struct layer_encoder *encoder, struct error *error)
{
    struct piece *piece = piece_at(encoder, encoder->filled);
    piece->plain_size = encoder->filling;
    encoder->filling = 0;
    (void) pthread_mutex_lock(&encoder->lock);
    piece->is_packed = false;
    encoder->filled++;
    (void) pthread_cond_broadcast(&encoder->work);
    int rc = wait_until_left(encoder, encoder->piece_count - 1, error);
    (void) pthread_mutex_unlock(&encoder->lock);
    return rc;
}

int layer_encoder_add(struct layer_encoder *encoder, const void *data, size_t size,
                      struct error *error)
{
    const uint8_t *bytes = data;
    (void) pthread_mutex_lock(&encoder->lock);
    int rc = check(encoder, error);
    (void) pthread_mutex_unlock(&encoder->lock);
    while (rc == 0 && size > 0) {
        size_t count = encoder->piece_size - encoder->filling;
        if (count > size)
            count = size;
        memcpy(piece_at(encoder, encoder->filled)->plain + encoder->filling, bytes, count);
        encoder->filling += count;
        bytes += count;
        size -= count;
        if (encoder->filling == encoder->piece_size)
            rc = submit(encoder, error);
    }
    return rc;
}

static void read_result(const struct layer_encoder *encoder, struct layer_encoder_result *result)
{
    digester_read(encoder->plain_digester, &result->plain_digest);
    result->plain_bytes = encoder->plain_bytes;
    result->bytes = encoder->bytes;
    if (encoder->digester)
        digester_read(encoder->digester, &result->digest);
    else
        result->digest = result->plain_digest;
}

int layer_encoder_finish(struct layer_encoder *encoder, struct layer_encoder_result *out_result,
                         struct error *error)
{
    uint8_t tail[PACK_EDGE_MAX];
    int rc = 0;
    if (encoder->filling > 0 || encoder->filled == 0)
        rc = submit(encoder, error);
    if (rc != 0)
        return rc;
    (void) pthread_mutex_lock(&encoder->lock);
    rc = wait_until_left(encoder, 0, error);
    (void) pthread_mutex_unlock(&encoder->lock);
    if (rc != 0)
        return rc;
    /* The workers have no more to do. */
    size_t size =
        pack_tail(encoder->options.compression, encoder->crc32, encoder->plain_bytes, tail);
    if (size > 0)
        rc = write_out(encoder, tail, size, error);
    if (rc == 0)
        read_result(encoder, out_result);
    return rc;
}

void layer_encoder_clear(struct layer_encoder **encoder_address)
{
    struct layer_encoder *encoder = *encoder_address;
    *encoder_address = NULL;
    if (!encoder)
        return;
    (void) pthread_mutex_lock(&encoder->lock);
    encoder->stopping = true;
    (void) pthread_cond_broadcast(&encoder->work);
    (void) pthread_mutex_unlock(&encoder->lock);
    for (unsigned i = 0; i < encoder->started; i++)
        (void) pthread_join(encoder->threads[i], NULL);
    for (unsigned i = 0; i < encoder->piece_count; i++) {
        mem_free(&encoder->pieces[i].plain);
        mem_free(&encoder->pieces[i].packed);
    }
    mem_free(&encoder->pieces);
    digester_free(encoder->plain_digester);
    digester_free(encoder->digester);
    (void) pthread_mutex_destroy(&encoder->lock);
    (void) pthread_cond_destroy(&encoder->work);
    (void) pthread_cond_destroy(&encoder->room);
    free(encoder);
}
