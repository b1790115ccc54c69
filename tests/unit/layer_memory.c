/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/layer_memory.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { LINES = 3000, LINE_BYTES_MAX = 64 };

static void wait_for(atomic_bool *waits, atomic_bool *released)
{
    const struct timespec nap = {.tv_nsec = 1000000};
    atomic_store(waits, true);
    while (!atomic_load(released))
        (void) nanosleep(&nap, NULL);
    atomic_store(waits, false);
}

static ssize_t read_memory(struct layer_source *base, void *buffer, size_t size,
                           struct error *error)
{
    struct memory_source *source = (struct memory_source *) base;
    atomic_fetch_add(&source->reads, 1);
    if (source->offset == source->size && source->repeat > 0) {
        source->repeat--;
        source->offset = 0;
    }
    size_t count = source->size - source->offset;
    if (count == 0 && source->blocks)
        wait_for(&source->waits, &source->released);
    if (count == 0 && source->fails)
        return error_set(error, ERROR_IO, "the source failed");
    if (count > size)
        count = size;
    if (source->piece && count > source->piece)
        count = source->piece;
    if (count > 0)
        memcpy(buffer, (const uint8_t *) source->data + source->offset, count);
    source->offset += count;
    return (ssize_t) count;
}

static void close_memory(struct layer_source *base)
{
    (void) base;
}

void memory_source_init(struct memory_source *source, const void *data, size_t size)
{
    memset(source, 0, sizeof *source);
    source->base = (struct layer_source){.read = read_memory, .close = close_memory};
    source->data = data;
    source->size = size;
}

static int write_memory(struct layer_sink *base, const void *data, size_t size, struct error *error)
{
    struct memory_sink *sink = (struct memory_sink *) base;
    if (sink->blocks)
        wait_for(&sink->waits, &sink->released);
    if (sink->fails_after && sink->size + size > sink->fails_after)
        return error_set(error, ERROR_IO, "the sink failed");
    if (sink->size + size > sink->room) {
        sink->room = 2 * (sink->size + size);
        sink->data = mem_resize(sink->data, sink->room, 1);
    }
    if (size > 0)
        memcpy(sink->data + sink->size, data, size);
    sink->size += size;
    return 0;
}

void memory_sink_init(struct memory_sink *sink)
{
    memset(sink, 0, sizeof *sink);
    sink->base.write = write_memory;
}

void memory_sink_clear(struct memory_sink *sink)
{
    mem_free(&sink->data);
}

uint8_t *layer_sample_new(size_t size, unsigned seed)
{
    uint8_t *data = mem_alloc(size ? size : 1);
    uint32_t state = seed * 2654435761U + 1;
    for (size_t i = 0; i < size;) {
        state = state * 1664525U + 1013904223U;
        size_t run = (state >> 28) + 1;
        if (i >= 70000 && (state & 0x800000)) { /* a repetition from before */
            size_t distance = (state >> 4) % 65536 + 1;
            for (run *= 8; run > 0 && i < size; run--, i++)
                data[i] = data[i - distance];
        } else {
            for (; run > 0 && i < size; run--, i++)
                data[i] = (uint8_t) (' ' + (state >> (run & 15)) % 64);
        }
    }
    return data;
}

char *layer_lines_new(size_t *out_size)
{
    char *text = mem_alloc((size_t) LINES * LINE_BYTES_MAX);
    size_t length = 0;
    for (unsigned i = 0; i < LINES; i++)
        length +=
            (size_t) snprintf(text + length, LINE_BYTES_MAX, "%u: the %uth line\n", i, i * i % 977);
    *out_size = length;
    return text;
}

struct digest layer_digest(const void *data, size_t size)
{
    struct digest digest = {.algorithm = DIGEST_SHA256};
    digest_sha256(data, size, digest.bytes);
    return digest;
}

uint8_t *layer_file_new(const char *name, size_t *out_size)
{
    enum { ROOM = 1 << 20 };
    owned(mem_free) char *path = mem_printf("tests/data/layers/%s", name);
    FILE *file = fopen(path, "rbe");
    if (!file)
        fail_msg("cannot open %s; unit tests run in the project's folder", path);
    uint8_t *data = mem_alloc(ROOM);
    *out_size = fread(data, 1, ROOM, file);
    (void) fclose(file);
    return data;
}
