/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "diff/decode.h"

/* 128 MiB. Layers of real images have 8 MiB at most. */
enum { WINDOW_LOG_MAX = 27, MAGIC_SIZE = 4 };

struct zstd_decoder {
    struct layer_decoder base; /* first */
    ZSTD_DCtx *context;
    bool in_frame;
};

static int ends_early(struct error *error)
{
    return error_set(error, ERROR_CORRUPT, "the layer's zstd data ends too early");
}

static int refuse(size_t rc, struct error *error)
{
    switch (ZSTD_getErrorCode(rc)) {
    case ZSTD_error_frameParameter_windowTooLarge:
        return error_set(error, ERROR_INVALID,
                         "the layer's zstd data needs a window of more than %u MiB, which is the "
                         "limit",
                         (1U << WINDOW_LOG_MAX) >> 20);
    case ZSTD_error_memory_allocation:
        return error_set(error, ERROR_NO_SPACE,
                         "no memory for the window of the layer's zstd data");
    case ZSTD_error_dictionary_wrong:
        return error_set(error, ERROR_INVALID,
                         "the layer's zstd data needs a dictionary that it does not have");
    case ZSTD_error_checksum_wrong:
        return error_set(error, ERROR_CORRUPT, "the layer's zstd data does not match its checksum");
    default:
        return error_set(error, ERROR_CORRUPT, "the layer's zstd data is damaged: %s",
                         ZSTD_getErrorName(rc));
    }
}

/*
 * 1 if a frame begins, 0 if there are no more. libzstd would take frames of its early versions too,
 * with decoders that nobody looks after.
 */
static int begin_frame(struct zstd_decoder *zstd, struct error *error)
{
    struct feed *feed = zstd->base.feed;
    int rc = feed_need(feed, MAGIC_SIZE, error);
    if (rc != 0 || feed_size(feed) == 0)
        return rc;
    if (feed_size(feed) < MAGIC_SIZE)
        return ends_early(error);
    uint32_t magic = load_le32(feed_data(feed));
    if (magic != ZSTD_FRAME_MAGIC && !zstd_magic_is_skippable(magic))
        return error_set(error, ERROR_CORRUPT,
                         "the layer's zstd data is followed by what is no zstd data, after %llu "
                         "bytes",
                         (unsigned long long) feed->bytes);
    zstd->in_frame = true;
    return 1;
}

/* Adds to what out->pos counts. */
static int decode_some(struct zstd_decoder *zstd, ZSTD_outBuffer *out, struct error *error)
{
    struct feed *feed = zstd->base.feed;
    int rc = feed_need(feed, 1, error);
    if (rc != 0)
        return rc;
    size_t before = out->pos;
    ZSTD_inBuffer in = {.src = feed_data(feed), .size = feed_size(feed)};
    size_t left = ZSTD_decompressStream(zstd->context, out, &in);
    feed_take(feed, in.pos);
    if (ZSTD_isError(left))
        return refuse(left, error);
    if (left == 0)
        zstd->in_frame = false;
    else if (in.pos == 0 && out->pos == before && feed->ended)
        return ends_early(error);
    return 0;
}

static ssize_t read_zstd(struct layer_decoder *decoder, void *out, size_t size, struct error *error)
{
    struct zstd_decoder *zstd = (struct zstd_decoder *) decoder;
    ZSTD_outBuffer room = {.dst = out, .size = size};
    while (room.pos < size) {
        int rc = zstd->in_frame ? 1 : begin_frame(zstd, error);
        if (rc == 0)
            break;
        if (rc > 0)
            rc = decode_some(zstd, &room, error);
        if (rc < 0)
            return rc;
    }
    return (ssize_t) room.pos;
}

static void free_zstd(struct layer_decoder *decoder)
{
    struct zstd_decoder *zstd = (struct zstd_decoder *) decoder;
    (void) ZSTD_freeDCtx(zstd->context);
    free(zstd);
}

struct layer_decoder *layer_decoder_new_zstd(struct feed *feed)
{
    struct zstd_decoder *zstd = mem_alloc(sizeof *zstd);
    zstd->base = (struct layer_decoder){.read = read_zstd, .free = free_zstd, .feed = feed};
    zstd->context = ZSTD_createDCtx();
    if (!zstd->context) {
        (void) fputs("clonefsd: out of memory\n", stderr);
        abort();
    }
    (void) ZSTD_DCtx_setParameter(zstd->context, ZSTD_d_windowLogMax, WINDOW_LOG_MAX);
    return &zstd->base;
}
