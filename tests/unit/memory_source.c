/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/memory_source.h"

#include <string.h>

#include "base/mem.h"

struct memory_source {
    struct layer_source base;
    const char *data;
    size_t left;
};

static ssize_t memory_read(struct layer_source *source, void *buffer, size_t size,
                           struct error *error)
{
    struct memory_source *memory = (struct memory_source *) source;
    size_t part = size < memory->left ? size : memory->left;
    (void) error;
    if (part > 0)
        memcpy(buffer, memory->data, part);
    memory->data += part;
    memory->left -= part;
    return (ssize_t) part;
}

static void memory_close(struct layer_source *source)
{
    mem_free(&source);
}

struct layer_source *memory_source_new(const void *data, size_t size)
{
    struct memory_source *memory = mem_alloc(sizeof *memory);
    *memory = (struct memory_source){
        .base = {.read = memory_read, .close = memory_close}, .data = data, .left = size};
    return &memory->base;
}
