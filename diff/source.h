/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"

/*
 * Where the bytes of a layer come from, one after the other: a blob of our own content store, one
 * that containerd has, or, in tests, memory. Belongs to one thread at a time.
 */
struct layer_source {
    /* Reads at most size bytes (size > 0): how many, 0 at the end, or an error code. May block on
     * the disk or on containerd. */
    ssize_t (*read)(struct layer_source *source, void *buffer, size_t size, struct error *error);
    void (*close)(struct layer_source *source); /* frees it */
};

/* For owned(); NULL is allowed. */
static inline void layer_source_close(struct layer_source **source)
{
    if (*source)
        (*source)->close(*source);
    *source = NULL;
}
