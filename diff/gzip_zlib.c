/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "base/mem.h"
#include "diff/decode.h"
#include "diff/gzip.h"

enum { RAW_WINDOW_BITS = -15, MEMORY_LEVEL = 8, LEVEL = 6 };

struct inflater {
    z_stream stream;
    uint32_t crc;
    uint32_t size;
    bool data_ended; /* the trailer follows */
    size_t trailer_size;
    uint8_t trailer[GZIP_TRAILER_SIZE];
};

uint32_t gzip_crc32(uint32_t crc, const void *data, size_t size)
{
    return (uint32_t) crc32_z(crc, data, size);
}

/* Only a lack of memory makes zlib refuse what we ask for: there is nothing to save. */
static void must(int rc)
{
    if (rc != Z_OK) {
        (void) fputs("clonefsd: out of memory\n", stderr);
        abort();
    }
}

struct inflater *inflater_new(void)
{
    struct inflater *inflater = mem_alloc(sizeof *inflater);
    must(inflateInit2(&inflater->stream, RAW_WINDOW_BITS));
    return inflater;
}

void inflater_free(struct inflater *inflater)
{
    if (!inflater)
        return;
    (void) inflateEnd(&inflater->stream);
    free(inflater);
}

void inflater_begin(struct inflater *inflater)
{
    must(inflateReset(&inflater->stream));
    inflater->crc = 0;
    inflater->size = 0;
    inflater->data_ended = false;
    inflater->trailer_size = 0;
}

static enum inflate_answer run_trailer(struct inflater *inflater, struct inflate_step *step)
{
    size_t count = GZIP_TRAILER_SIZE - inflater->trailer_size;
    if (count > step->in_size)
        count = step->in_size;
    if (count > 0)
        memcpy(inflater->trailer + inflater->trailer_size, step->in, count);
    inflater->trailer_size += count;
    step->in += count;
    step->in_size -= count;
    if (inflater->trailer_size < GZIP_TRAILER_SIZE)
        return INFLATE_MORE;
    return load_le32(inflater->trailer) == inflater->crc &&
                   load_le32(inflater->trailer + 4) == inflater->size
               ? INFLATE_END
               : INFLATE_WRONG;
}

enum inflate_answer inflater_run(struct inflater *inflater, struct inflate_step *step)
{
    z_stream *stream = &inflater->stream;
    const uint8_t *out = step->out;
    assert(step->in_size <= INT_MAX && step->out_size <= INT_MAX);
    if (inflater->data_ended)
        return run_trailer(inflater, step);
    stream->next_in = (Bytef *) step->in; /* zlib only reads it */
    stream->avail_in = (uInt) step->in_size;
    stream->next_out = step->out;
    stream->avail_out = (uInt) step->out_size;
    int rc = inflate(stream, Z_NO_FLUSH);
    step->in = stream->next_in;
    step->in_size = stream->avail_in;
    step->out = stream->next_out;
    step->out_size = stream->avail_out;
    inflater->crc = gzip_crc32(inflater->crc, out, (size_t) (step->out - out));
    inflater->size += (uint32_t) (step->out - out);
    inflater->data_ended = rc == Z_STREAM_END;
    if (rc == Z_STREAM_END)
        return run_trailer(inflater, step);
    return rc == Z_OK || rc == Z_BUF_ERROR ? INFLATE_MORE : INFLATE_BROKEN;
}

struct deflater {
    z_stream stream;
};

struct deflater *deflater_new(void)
{
    struct deflater *deflater = mem_alloc(sizeof *deflater);
    must(deflateInit2(&deflater->stream, LEVEL, Z_DEFLATED, RAW_WINDOW_BITS, MEMORY_LEVEL,
                      Z_DEFAULT_STRATEGY));
    return deflater;
}

void deflater_free(struct deflater *deflater)
{
    if (!deflater)
        return;
    (void) deflateEnd(&deflater->stream);
    free(deflater);
}

size_t deflater_run(struct deflater *deflater, const void *data, size_t size, uint8_t *out)
{
    z_stream *stream = &deflater->stream;
    assert(size <= INT_MAX);
    must(deflateReset(stream));
    stream->next_in = (Bytef *) data; /* zlib only reads it */
    stream->avail_in = (uInt) size;
    stream->next_out = out;
    stream->avail_out = (uInt) deflate_bound(size);
    int rc = deflate(stream, Z_SYNC_FLUSH);
    (void) rc; /* the output has room for all */
    assert(rc == Z_OK && stream->avail_in == 0 && stream->avail_out > 0);
    return (size_t) (stream->next_out - out);
}
