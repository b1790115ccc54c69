/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/arena.h"

#include <stdalign.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

struct arena_block {
    struct arena_block *next;
    size_t size;
    alignas(max_align_t) char data[];
};

#define FIRST_BLOCK 2048

static void *allocate(void *data, size_t size)
{
    return arena_alloc(data, size);
}

static void release(void *data, void *pointer)
{
    (void) data; /* all goes at once */
    (void) pointer;
}

void arena_init(struct arena *arena)
{
    *arena = (struct arena){.allocator = {.alloc = allocate, .free = release}};
    arena->allocator.allocator_data = arena;
}

void arena_clear(struct arena *arena)
{
    for (struct arena_block *next, *block = arena->blocks; block; block = next) {
        next = block->next;
        free(block);
    }
    arena->blocks = NULL;
    arena->used = arena->total = 0;
}

static void add_block(struct arena *arena, size_t at_least)
{
    size_t size = arena->blocks ? arena->blocks->size * 2 : FIRST_BLOCK;
    if (size > ARENA_LIMIT / 8)
        size = ARENA_LIMIT / 8;
    if (size < at_least)
        size = at_least;
    struct arena_block *block = mem_alloc(sizeof *block + size);
    block->size = size;
    block->next = arena->blocks;
    arena->blocks = block;
    arena->used = 0;
    arena->total += size;
}

void *arena_alloc(struct arena *arena, size_t size)
{
    const size_t alignment = alignof(max_align_t);
    if (size > ARENA_LIMIT - arena->total)
        return NULL;
    size = (size + alignment - 1) / alignment * alignment;
    if (!arena->blocks || arena->blocks->size - arena->used < size)
        add_block(arena, size);
    void *memory = arena->blocks->data + arena->used;
    arena->used += size;
    return memory;
}
