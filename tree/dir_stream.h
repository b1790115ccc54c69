/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Reads directories in batches of some hundred entries. One stream serves many directories one
 * after the other, and belongs to one thread.
 */
struct dir_stream {
    char *buffer;
    size_t length;
    size_t position;
};

struct dir_entry {
    const char *name;   /* borrowed until the next fill */
    unsigned char type; /* DT_REG, ...; DT_UNKNOWN where the file system does not tell */
};

void dir_stream_init(struct dir_stream *stream);
void dir_stream_clear(struct dir_stream *stream);

/* Reads the next batch of the directory fd. 1, 0 at the end, -1 and errno on failure. */
int dir_stream_fill(struct dir_stream *stream, int fd);

/* True if the last batch filled the buffer, so that more are to be expected. */
bool dir_stream_expects_more(const struct dir_stream *stream);

/* Takes the next entry of the batch, "." and ".." left out; false when there is none. */
bool dir_stream_next(struct dir_stream *stream, struct dir_entry *out_entry);
