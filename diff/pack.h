/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "diff/encode.h"

/*
 * How a layer is compressed: in pieces of a fixed size, each by itself, so that any number of
 * threads can do it and the outcome is the same.
 *
 * gzip: one member, whose deflate data the pieces make up, since not every reader takes several.
 * The header is that of Go's compress/gzip: no name, no time, system unknown. zstd: a frame with
 * its size and checksum for each piece.
 */

/* Bytes of a piece; the last one may have less. Big enough that cutting costs little: against one
 * piece for all, gzip gets 0.1% bigger, zstd 1.5%. */
size_t pack_piece_size(enum layer_compression compression);

/* What a packed piece takes at most. */
size_t pack_bound(enum layer_compression compression);

/* Packs pieces of one layer. Belongs to one thread at a time. */
struct packer;

struct packer *packer_new(enum layer_compression compression);
void packer_free(struct packer *packer); /* NULL is allowed */

/* Packs a piece; out has room for pack_bound. Returns the size of what is there then. A layer that
 * is packed has at least one piece, which may be empty. */
size_t packer_run(struct packer *packer, const void *data, size_t size, uint8_t *out);

/* What stands before the first and behind the last piece: how many bytes of out. crc32 and size are
 * those of the uncompressed layer. */
#define PACK_EDGE_MAX ((size_t) 16)
size_t pack_head(enum layer_compression compression, uint8_t out[PACK_EDGE_MAX]);
size_t pack_tail(enum layer_compression compression, uint32_t crc32, uint64_t size,
                 uint8_t out[PACK_EDGE_MAX]);
