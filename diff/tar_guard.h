/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "diff/limits.h"
#include "diff/pax.h"
#include "diff/stream.h"

/*
 * Stands between a layer's stream and libarchive, which is laxer than containerd's reader and keeps
 * things to itself: follows the archive from header to header, refuses what containerd refuses
 * (contract 7.4, rules 6 and 14) and what the two could read differently, and bounds what
 * libarchive allocates. Long names and pax headers of an entry are handed on as one pax header that
 * libarchive reads as bytes, global headers not at all; everything else as it is, file data without
 * a copy.
 */
struct tar_guard {
    struct layer_stream *stream; /* the caller's */
    const struct layer_limits *limits;
    const char *next; /* of the stream, not taken yet */
    size_t available;
    bool ended;

    /* The entry that was handed on last. */
    uint64_t position; /* of its first header in what was handed on */
    char type;         /* of the header; '\0' is handed on as '0' */
    struct pax pax;

    uint64_t given; /* bytes handed on */
    uint64_t data_left;
    unsigned padding_left;
    char *pax_text;
    size_t pax_length;
    char *long_name; /* of the next entry, or NULL */
    char *long_link;
    char *group; /* headers being handed on */
    size_t group_length;
    size_t group_capacity;

    struct error error; /* of tar_guard_read */
};

/* limits and stream must outlive it. Clear it with tar_guard_clear. */
void tar_guard_init(struct tar_guard *guard, struct layer_stream *stream,
                    const struct layer_limits *limits);
void tar_guard_clear(struct tar_guard *guard);

/* Hands on the next bytes, never of two entries at a time: how many, 0 at the end of the archive,
 * or an error code. They live until the next call. */
ssize_t tar_guard_read(struct tar_guard *guard, const void **out_data);
