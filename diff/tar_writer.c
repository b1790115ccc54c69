/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/tar_writer.h"

#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { BUFFER_BYTES = 128 << 10 };

void tar_writer_init(struct tar_writer *writer, struct layer_sink *sink)
{
    *writer = (struct tar_writer){.sink = sink, .buffer = mem_alloc(BUFFER_BYTES)};
}

void tar_writer_clear(struct tar_writer *writer)
{
    mem_free(&writer->buffer);
}

static int flush(struct tar_writer *writer, struct error *error)
{
    int code = writer->used > 0
                   ? writer->sink->write(writer->sink, writer->buffer, writer->used, error)
                   : 0;
    writer->used = 0;
    return code;
}

static int flush_if_full(struct tar_writer *writer, struct error *error)
{
    return writer->used == BUFFER_BYTES ? flush(writer, error) : 0;
}

/* How much of size fits into the buffer, which is not full. */
static size_t fitting(const struct tar_writer *writer, uint64_t size)
{
    size_t room = BUFFER_BYTES - writer->used;
    return size < room ? (size_t) size : room;
}

static int add(struct tar_writer *writer, const char *data, size_t size, struct error *error)
{
    while (size > 0) {
        int code = flush_if_full(writer, error);
        if (code != 0)
            return code;
        size_t length = fitting(writer, size);
        memcpy(writer->buffer + writer->used, data, length);
        writer->used += length;
        data += length;
        size -= length;
    }
    return 0;
}

/* Many of them, in a file that is mostly holes, are not copied into the buffer. */
static int add_zeros(struct tar_writer *writer, uint64_t size, struct error *error)
{
    static const char zeros[BUFFER_BYTES];
    while (size > 0) {
        int code = flush_if_full(writer, error);
        if (code != 0)
            return code;
        size_t length = fitting(writer, size);
        code = length == BUFFER_BYTES ? writer->sink->write(writer->sink, zeros, length, error)
                                      : add(writer, zeros, length, error);
        if (code != 0)
            return code;
        size -= length;
    }
    return 0;
}

/* The last entry is complete but for its padding. */
static int end_entry(struct tar_writer *writer, struct error *error)
{
    assert(writer->missing == 0);
    unsigned padding = writer->padding;
    writer->padding = 0;
    return add_zeros(writer, padding, error);
}

int tar_writer_begin(struct tar_writer *writer, const struct tar_entry *entry, struct error *error)
{
    owned(mem_free) char *header = NULL;
    size_t size = 0;
    int code = tar_header_make(entry, &header, &size, error);
    if (code == 0)
        code = end_entry(writer, error);
    if (code == 0)
        code = add(writer, header, size, error);
    if (code != 0)
        return code;
    writer->missing = entry->size;
    writer->padding = (unsigned) (-entry->size % TAR_BLOCK);
    return 0;
}

int tar_writer_room(struct tar_writer *writer, char **out_room, size_t *out_size,
                    struct error *error)
{
    int code = flush_if_full(writer, error);
    if (code != 0)
        return code;
    *out_room = writer->buffer + writer->used;
    *out_size = fitting(writer, writer->missing);
    return 0;
}

void tar_writer_filled(struct tar_writer *writer, size_t size)
{
    assert(size <= writer->missing && size <= BUFFER_BYTES - writer->used);
    writer->used += size;
    writer->missing -= size;
}

int tar_writer_zeros(struct tar_writer *writer, uint64_t size, struct error *error)
{
    assert(size <= writer->missing);
    writer->missing -= size;
    return add_zeros(writer, size, error);
}

int tar_writer_finish(struct tar_writer *writer, struct error *error)
{
    int code = end_entry(writer, error);
    if (code == 0)
        code = add_zeros(writer, 2 * (uint64_t) TAR_BLOCK, error);
    return code == 0 ? flush(writer, error) : code;
}
