/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "diff/feed.h"

/*
 * What turns the bytes of a layer, as stored, into those of its archive. Belongs to one thread at a
 * time; stops where the feed is cancelled, but not between two bytes of output.
 */
struct layer_decoder {
    /* Fills out, but for the end: how many bytes, 0 at the end, or an error code. Ends with the
     * feed, never before. */
    ssize_t (*read)(struct layer_decoder *decoder, void *out, size_t size, struct error *error);
    void (*free)(struct layer_decoder *decoder);
    struct feed *feed;
};

void layer_decoder_free(struct layer_decoder *decoder); /* NULL is allowed */

/* The decoder for what the feed begins with (contract 7.1): gzip, zstd, or else the bytes as they
 * are; raw = those in any case. The feed stays the caller's. Error codes as feed_need. */
int layer_decoder_open(struct feed *feed, bool raw, struct layer_decoder **out_decoder,
                       struct error *error);

/*
 * Any number of gzip members. What follows the last one must be another, as Go's reader has it: no
 * padding, no trailing bytes. Headers may have all that RFC 1952 knows.
 */
struct layer_decoder *layer_decoder_new_gzip(struct feed *feed);

/*
 * Any number of zstd frames, skippable ones too; checksums count where a frame has one. A window of
 * more than 128 MiB is refused, as zstd itself does unless told otherwise: it would be allocated.
 */
struct layer_decoder *layer_decoder_new_zstd(struct feed *feed);

#define ZSTD_FRAME_MAGIC UINT32_C(0xFD2FB528)
#define ZSTD_SKIPPABLE_MAGIC UINT32_C(0x184D2A50) /* and the 15 numbers that follow */

static inline bool zstd_magic_is_skippable(uint32_t magic)
{
    return (magic & UINT32_C(0xFFFFFFF0)) == ZSTD_SKIPPABLE_MAGIC;
}

static inline uint32_t load_le32(const uint8_t *bytes)
{
    return bytes[0] | (uint32_t) bytes[1] << 8 | (uint32_t) bytes[2] << 16 |
           (uint32_t) bytes[3] << 24;
}
