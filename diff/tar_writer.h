/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "diff/sink.h"
#include "diff/tar_header.h"

/* A tar archive being written to a sink, which gets blocks of some 100 KiB. */
struct tar_writer {
    struct layer_sink *sink;
    char *buffer;
    size_t used;
    uint64_t missing; /* data that the present entry still lacks */
    unsigned padding; /* and zeros after it */
};

void tar_writer_init(struct tar_writer *writer, struct layer_sink *sink);
void tar_writer_clear(struct tar_writer *writer);

/* Begins an entry; data of entry->size bytes has to follow. */
int tar_writer_begin(struct tar_writer *writer, const struct tar_entry *entry, struct error *error);

/* Room for the next bytes of data, to be filled in place: *out_size of them at most, never 0 as
 * long as any are missing. */
int tar_writer_room(struct tar_writer *writer, char **out_room, size_t *out_size,
                    struct error *error);

/* Says that so many bytes of the room were filled. */
void tar_writer_filled(struct tar_writer *writer, size_t size);

/* Adds zeros to the data. */
int tar_writer_zeros(struct tar_writer *writer, uint64_t size, struct error *error);

/* Ends the archive; the sink has everything then. */
int tar_writer_finish(struct tar_writer *writer, struct error *error);
