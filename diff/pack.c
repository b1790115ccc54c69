/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/pack.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zstd.h>

#include "base/mem.h"
#include "diff/gzip.h"

enum { ZSTD_LEVEL = 3, GZIP_SYSTEM_UNKNOWN = 255 };
#define GZIP_PIECE_BYTES ((size_t) 1 << 20)
#define ZSTD_PIECE_BYTES ((size_t) 4 << 20)

struct packer {
    struct deflater *deflater;
    ZSTD_CCtx *zstd;
};

size_t pack_piece_size(enum layer_compression compression)
{
    return compression == LAYER_ZSTD ? ZSTD_PIECE_BYTES : GZIP_PIECE_BYTES;
}

size_t pack_bound(enum layer_compression compression)
{
    size_t size = pack_piece_size(compression);
    return compression == LAYER_ZSTD ? ZSTD_compressBound(size) : deflate_bound(size);
}

/* Only a lack of memory makes zstd fail at what we ask for: there is nothing to save. */
static void must(bool worked)
{
    if (!worked) {
        (void) fputs("clonefsd: zstd has no memory\n", stderr);
        abort();
    }
}

static void set_parameter(ZSTD_CCtx *context, ZSTD_cParameter parameter, int value)
{
    must(!ZSTD_isError(ZSTD_CCtx_setParameter(context, parameter, value)));
}

struct packer *packer_new(enum layer_compression compression)
{
    struct packer *packer = mem_alloc(sizeof *packer);
    if (compression == LAYER_GZIP)
        packer->deflater = deflater_new();
    if (compression == LAYER_ZSTD) {
        packer->zstd = ZSTD_createCCtx();
        must(packer->zstd);
        set_parameter(packer->zstd, ZSTD_c_compressionLevel, ZSTD_LEVEL);
        set_parameter(packer->zstd, ZSTD_c_checksumFlag, 1);
    }
    return packer;
}

void packer_free(struct packer *packer)
{
    if (!packer)
        return;
    deflater_free(packer->deflater);
    (void) ZSTD_freeCCtx(packer->zstd);
    free(packer);
}

size_t packer_run(struct packer *packer, const void *data, size_t size, uint8_t *out)
{
    if (packer->deflater)
        return deflater_run(packer->deflater, data, size, out);
    size_t made = ZSTD_compress2(packer->zstd, out, pack_bound(LAYER_ZSTD), data, size);
    must(!ZSTD_isError(made));
    return made;
}

static void store_le32(uint8_t *out, uint32_t value)
{
    for (unsigned i = 0; i < 4; i++)
        out[i] = (uint8_t) (value >> 8 * i);
}

size_t pack_head(enum layer_compression compression, uint8_t out[PACK_EDGE_MAX])
{
    static const uint8_t head[GZIP_HEADER_SIZE] = {GZIP_MAGIC_1, GZIP_MAGIC_2,
                                                   GZIP_METHOD_DEFLATE, [9] = GZIP_SYSTEM_UNKNOWN};
    if (compression != LAYER_GZIP)
        return 0;
    memcpy(out, head, sizeof head);
    return sizeof head;
}

size_t pack_tail(enum layer_compression compression, uint32_t crc32, uint64_t size,
                 uint8_t out[PACK_EDGE_MAX])
{
    /* The last block of the deflate data: nothing, in fixed codes. */
    static const uint8_t last_block[] = {3, 0};
    if (compression != LAYER_GZIP)
        return 0;
    memcpy(out, last_block, sizeof last_block);
    store_le32(out + sizeof last_block, crc32);
    store_le32(out + sizeof last_block + 4, (uint32_t) size);
    return sizeof last_block + GZIP_TRAILER_SIZE;
}
