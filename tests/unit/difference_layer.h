/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "diff/difference.h"
#include "diff/sink.h"

/* A layer in memory. */
struct difference_layer {
    struct layer_sink sink;
    char *data;
    size_t size;
    uint64_t written; /* more than size if the bytes are dropped */
    bool drop;
    /* Called before each write; an error code fails it. May be NULL. */
    int (*hook)(void *context);
    void *context;
    struct layer_difference_result result; /* of difference_layer_make */
};

void difference_layer_init(struct difference_layer *memory);
void difference_layer_clear(struct difference_layer *memory);

/* Makes the layer between two directories of dirfd (left NULL: the empty tree; cloned may be
 * NULL); the answer of layer_difference. */
int difference_layer_make(struct difference_layer *memory, int dirfd, const char *left,
                          const char *right, const struct timestamp *cloned, struct error *error);

/* The entries, one a line, as libarchive reads them: type (d, f, h, l, c, b, p), path, and what
 * counts of "SIZE", "-> TARGET", "MAJOR,MINOR"; bytes that are not ASCII as \xNN. Free with
 * mem_free. Fails the test if the archive is not valid. */
char *difference_layer_list(const struct difference_layer *memory);
