/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/digest.h"
#include "diff/sink.h"
#include "diff/source.h"

/* A layer's source that is memory of a test; nothing to free. */
struct memory_source {
    struct layer_source base; /* first */
    const void *data;
    size_t size;
    size_t piece;    /* bytes that one read gives at most; 0 = any number */
    unsigned repeat; /* the data comes so many times more */

    size_t offset;
    atomic_uint reads;
    bool fails;        /* the end is an error of the source: ERROR_IO "the source failed" */
    bool blocks;       /* the end is waited for until it is released */
    atomic_bool waits; /* it is waiting */
    atomic_bool released;
};

void memory_source_init(struct memory_source *source, const void *data, size_t size);

/* A layer's sink that is memory. */
struct memory_sink {
    struct layer_sink base; /* first */
    uint8_t *data;
    size_t size;
    size_t room;
    size_t fails_after; /* bytes; more is ERROR_IO "the sink failed". 0 = never */
    bool blocks;        /* every write waits until it is released */
    atomic_bool waits;
    atomic_bool released;
};

void memory_sink_init(struct memory_sink *sink);
void memory_sink_clear(struct memory_sink *sink);

/* Data that compresses somewhat, the same for every seed; free it. */
uint8_t *layer_sample_new(size_t size, unsigned seed);

/* "0: the 0th line\n" and so on, 3000 lines: what the files in tests/data/layers hold. *out_size is
 * without the NUL; free it. */
char *layer_lines_new(size_t *out_size);

struct digest layer_digest(const void *data, size_t size);

/* Reads a file of tests/data/layers; free it. */
uint8_t *layer_file_new(const char *name, size_t *out_size);
