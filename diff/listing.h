/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/cancel.h"
#include "base/error.h"
#include "tree/dir_stream.h"

/*
 * The names of one directory in byte order, whatever the file system's order is. Holds all of them
 * in memory.
 */
struct listing {
    char *text; /* all names, each NUL-terminated */
    size_t text_size;
    size_t text_capacity;
    const char **names; /* sorted */
    size_t count;
    size_t next; /* the first that listing_take did not take */
};

#define LISTING_NULL ((struct listing){0})

/* Reads the directory fd, which was not read yet, through stream into the empty listing. */
int listing_read(struct listing *listing, struct dir_stream *stream, int fd,
                 const struct cancel *cancel, struct error *error);

/* The next name, or NULL at the end; it lives as long as the listing. */
const char *listing_peek(const struct listing *listing);
void listing_take(struct listing *listing);

/* Repeatable. */
void listing_clear(struct listing *listing);
