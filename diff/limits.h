/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Budgets of one layer, which no real image meets. What a layer may cost is bounded by them,
 * whoever made it. 0 = no limit.
 */
struct layer_limits {
    uint64_t bytes;        /* of the uncompressed archive */
    uint64_t entries;      /* of the archive */
    unsigned path_depth;   /* components of a name */
    unsigned ratio;        /* uncompressed to compressed bytes, beyond the first 64 MiB */
    uint64_t header_bytes; /* of what describes one entry: long names, pax records, xattrs */
    uint64_t xattr_bytes;  /* of one xattr's value */
};

/* On macOS a resource fork is one. */
#ifdef __APPLE__
#define LAYER_XATTR_BYTES_DEFAULT ((uint64_t) 16 << 20)
#else
#define LAYER_XATTR_BYTES_DEFAULT ((uint64_t) 64 << 10)
#endif

/* 1 TiB, 20 million entries, 1024 components, 1200 times, 16 MiB, 64 KiB or 16 MiB */
#define LAYER_LIMITS_DEFAULT                                                                       \
    ((struct layer_limits){.bytes = (uint64_t) 1 << 40,                                            \
                           .entries = 20000000,                                                    \
                           .path_depth = 1024,                                                     \
                           .ratio = 1200,                                                          \
                           .header_bytes = (uint64_t) 16 << 20,                                    \
                           .xattr_bytes = LAYER_XATTR_BYTES_DEFAULT})
