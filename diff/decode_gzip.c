/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "diff/decode.h"
#include "diff/gzip.h"

/* Flags in a member's header (RFC 1952). Bits that it reserves are ignored, as Go does. */
enum { FLAG_HEADER_CRC = 2, FLAG_EXTRA = 4, FLAG_NAME = 8, FLAG_COMMENT = 16 };
enum { FLAGS_OFFSET = 3, SHORT_SIZE = 2 };

struct gzip_decoder {
    struct layer_decoder base; /* first */
    struct inflater *inflater;
    bool in_member;
    uint64_t members;    /* that began */
    uint32_t header_crc; /* of the header so far */
};

static int ends_early(struct error *error)
{
    return error_set(error, ERROR_CORRUPT, "the layer's gzip data ends too early");
}

/* Takes bytes of a header that are available. */
static void take_header(struct gzip_decoder *gzip, size_t count)
{
    struct feed *feed = gzip->base.feed;
    gzip->header_crc = gzip_crc32(gzip->header_crc, feed_data(feed), count);
    feed_take(feed, count);
}

/* Makes exactly so many bytes of a header available. */
static int need_header(struct gzip_decoder *gzip, size_t count, struct error *error)
{
    int rc = feed_need(gzip->base.feed, count, error);
    if (rc == 0 && feed_size(gzip->base.feed) < count)
        rc = ends_early(error);
    return rc;
}

static int take_short(struct gzip_decoder *gzip, uint16_t *out_value, struct error *error)
{
    int rc = need_header(gzip, SHORT_SIZE, error);
    if (rc != 0)
        return rc;
    const uint8_t *data = feed_data(gzip->base.feed);
    *out_value = (uint16_t) (data[0] | data[1] << 8);
    take_header(gzip, SHORT_SIZE);
    return 0;
}

static int skip_extra(struct gzip_decoder *gzip, struct error *error)
{
    uint16_t left = 0;
    int rc = take_short(gzip, &left, error);
    while (rc == 0 && left > 0) {
        rc = need_header(gzip, 1, error);
        if (rc != 0)
            return rc;
        size_t count = feed_size(gzip->base.feed) < left ? feed_size(gzip->base.feed) : left;
        take_header(gzip, count);
        left = (uint16_t) (left - count);
    }
    return rc;
}

/* A name or a comment, which ends with a NUL. */
static int skip_text(struct gzip_decoder *gzip, struct error *error)
{
    for (;;) {
        int rc = need_header(gzip, 1, error);
        if (rc != 0)
            return rc;
        const uint8_t *data = feed_data(gzip->base.feed);
        const uint8_t *nul = memchr(data, '\0', feed_size(gzip->base.feed));
        take_header(gzip, nul ? (size_t) (nul - data) + 1 : feed_size(gzip->base.feed));
        if (nul)
            return 0;
    }
}

static int check_header_crc(struct gzip_decoder *gzip, struct error *error)
{
    uint16_t expected = (uint16_t) gzip->header_crc;
    uint16_t found = 0;
    int rc = take_short(gzip, &found, error);
    if (rc == 0 && found != expected)
        rc = error_set(error, ERROR_CORRUPT, "the layer's gzip data has a header with a wrong CRC");
    return rc;
}

static int read_header(struct gzip_decoder *gzip, struct error *error)
{
    gzip->header_crc = 0;
    int rc = need_header(gzip, GZIP_HEADER_SIZE, error);
    if (rc != 0)
        return rc;
    const uint8_t *data = feed_data(gzip->base.feed);
    uint8_t flags = data[FLAGS_OFFSET];
    if (data[0] != GZIP_MAGIC_1 || data[1] != GZIP_MAGIC_2 || data[2] != GZIP_METHOD_DEFLATE)
        return error_set(error, ERROR_CORRUPT,
                         "the layer's gzip data is followed by what is no gzip data, after %llu "
                         "bytes",
                         (unsigned long long) gzip->base.feed->bytes);
    take_header(gzip, GZIP_HEADER_SIZE);
    if (flags & FLAG_EXTRA)
        rc = skip_extra(gzip, error);
    if (rc == 0 && (flags & FLAG_NAME))
        rc = skip_text(gzip, error);
    if (rc == 0 && (flags & FLAG_COMMENT))
        rc = skip_text(gzip, error);
    if (rc == 0 && (flags & FLAG_HEADER_CRC))
        rc = check_header_crc(gzip, error);
    return rc;
}

/* 1 if a member begins, 0 if there are no more. */
static int begin_member(struct gzip_decoder *gzip, struct error *error)
{
    int rc = feed_need(gzip->base.feed, 1, error);
    if (rc != 0 || feed_size(gzip->base.feed) == 0)
        return rc;
    rc = read_header(gzip, error);
    if (rc != 0)
        return rc;
    inflater_begin(gzip->inflater);
    gzip->in_member = true;
    gzip->members++;
    return 1;
}

/* Adds to what *done counts in out. */
static int inflate_some(struct gzip_decoder *gzip, uint8_t *out, size_t size, size_t *done,
                        struct error *error)
{
    struct feed *feed = gzip->base.feed;
    int rc = feed_need(feed, 1, error);
    if (rc != 0)
        return rc;
    struct inflate_step step = {.in = feed_data(feed),
                                .in_size = feed_size(feed),
                                .out = out + *done,
                                .out_size = size - *done};
    enum inflate_answer answer = inflater_run(gzip->inflater, &step);
    size_t taken = feed_size(feed) - step.in_size;
    size_t made = size - *done - step.out_size;
    feed_take(feed, taken);
    *done += made;
    if (answer == INFLATE_BROKEN)
        return error_set(error, ERROR_CORRUPT, "the layer's gzip data is damaged");
    if (answer == INFLATE_WRONG)
        return error_set(error, ERROR_CORRUPT,
                         "the layer's gzip data does not match its CRC or its size");
    if (answer == INFLATE_END)
        gzip->in_member = false;
    else if (taken == 0 && made == 0 && feed->ended)
        return ends_early(error);
    return 0;
}

static ssize_t read_gzip(struct layer_decoder *decoder, void *out, size_t size, struct error *error)
{
    struct gzip_decoder *gzip = (struct gzip_decoder *) decoder;
    size_t done = 0;
    while (done < size) {
        int rc = gzip->in_member ? 1 : begin_member(gzip, error);
        if (rc == 0)
            break;
        if (rc > 0)
            rc = inflate_some(gzip, out, size, &done, error);
        if (rc < 0)
            return rc;
    }
    return (ssize_t) done;
}

static void free_gzip(struct layer_decoder *decoder)
{
    struct gzip_decoder *gzip = (struct gzip_decoder *) decoder;
    inflater_free(gzip->inflater);
    free(gzip);
}

struct layer_decoder *layer_decoder_new_gzip(struct feed *feed)
{
    struct gzip_decoder *gzip = mem_alloc(sizeof *gzip);
    gzip->base = (struct layer_decoder){.read = read_gzip, .free = free_gzip, .feed = feed};
    gzip->inflater = inflater_new();
    return &gzip->base;
}
