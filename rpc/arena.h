/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>

/*
 * Memory of one call: allocated piece by piece, freed at once. It backs the unpacked request, so
 * its size is bounded: a small message can unpack to a big one.
 */
struct arena {
    struct arena_block *blocks;
    size_t used;  /* of the first block */
    size_t total; /* of all blocks */
    ProtobufCAllocator allocator;
};

#define ARENA_LIMIT ((size_t) 64 << 20)

void arena_init(struct arena *arena);
void arena_clear(struct arena *arena); /* repeatable */

/* Zeroed, aligned for any type; NULL beyond ARENA_LIMIT. */
void *arena_alloc(struct arena *arena, size_t size);
