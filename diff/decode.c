/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/decode.h"

#include <stdlib.h>

#include "base/mem.h"
#include "diff/gzip.h"

/* A skippable frame is told by its magic number only where its length is there too. */
enum { SKIPPABLE_HEADER_SIZE = 8, ZSTD_MAGIC_SIZE = 4, GZIP_MAGIC_SIZE = 3 };

static ssize_t read_plain(struct layer_decoder *decoder, void *out, size_t size,
                          struct error *error)
{
    size_t done = 0;
    while (done < size) {
        ssize_t got = feed_read(decoder->feed, (uint8_t *) out + done, size - done, error);
        if (got < 0)
            return got;
        if (got == 0)
            break;
        done += (size_t) got;
    }
    return (ssize_t) done;
}

static void free_plain(struct layer_decoder *decoder)
{
    free(decoder);
}

static struct layer_decoder *new_plain(struct feed *feed)
{
    struct layer_decoder *decoder = mem_alloc(sizeof *decoder);
    *decoder = (struct layer_decoder){.read = read_plain, .free = free_plain, .feed = feed};
    return decoder;
}

void layer_decoder_free(struct layer_decoder *decoder)
{
    if (decoder)
        decoder->free(decoder);
}

static bool is_gzip(const uint8_t *data, size_t size)
{
    return size >= GZIP_MAGIC_SIZE && data[0] == GZIP_MAGIC_1 && data[1] == GZIP_MAGIC_2 &&
           data[2] == GZIP_METHOD_DEFLATE;
}

static bool is_zstd(const uint8_t *data, size_t size)
{
    if (size >= ZSTD_MAGIC_SIZE && load_le32(data) == ZSTD_FRAME_MAGIC)
        return true;
    return size >= SKIPPABLE_HEADER_SIZE && zstd_magic_is_skippable(load_le32(data));
}

int layer_decoder_open(struct feed *feed, bool raw, struct layer_decoder **out_decoder,
                       struct error *error)
{
    int rc = raw ? 0 : feed_need(feed, SKIPPABLE_HEADER_SIZE, error);
    if (rc != 0)
        return rc;
    if (!raw && is_gzip(feed_data(feed), feed_size(feed)))
        *out_decoder = layer_decoder_new_gzip(feed);
    else if (!raw && is_zstd(feed_data(feed), feed_size(feed)))
        *out_decoder = layer_decoder_new_zstd(feed);
    else
        *out_decoder = new_plain(feed);
    return 0;
}
