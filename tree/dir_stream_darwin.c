/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/dir_stream.h"

#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/attr.h>
#include <unistd.h>

#include "base/mem.h"

/*
 * By getattrlistbulk(2) rather than readdir(3), which keeps what it read ahead where no other
 * thread that goes on with the directory finds it: what is read next stands in the descriptor.
 *
 * Some 500 entries. A name may have three times NAME_MAX bytes.
 */
enum { BUFFER_SIZE = 32 * 1024, RECORD_MAX = 1024 };

/* What the kernel puts in front of the attributes of an entry; all is aligned to four bytes. */
struct record {
    uint32_t length;
    attribute_set_t returned;
};

/* The kinds of a vnode as attributes have them. */
enum vnode_kind { REGULAR = 1, DIRECTORY, BLOCK, CHARACTER, LINK, SOCKET, FIFO };

void dir_stream_init(struct dir_stream *stream)
{
    *stream = (struct dir_stream){.buffer = mem_alloc(BUFFER_SIZE)};
}

void dir_stream_clear(struct dir_stream *stream)
{
    mem_free(&stream->buffer);
}

/* Reads the record at position; false if there is none that can be one. */
static bool read_record(const struct dir_stream *stream, size_t position, struct record *out)
{
    if (BUFFER_SIZE - position < sizeof *out)
        return false;
    memcpy(out, stream->buffer + position, sizeof *out);
    return out->length >= sizeof *out && out->length <= BUFFER_SIZE - position;
}

static unsigned char to_type(uint32_t kind)
{
    static const unsigned char types[] = {
        [REGULAR] = DT_REG, [DIRECTORY] = DT_DIR, [BLOCK] = DT_BLK, [CHARACTER] = DT_CHR,
        [LINK] = DT_LNK,    [SOCKET] = DT_SOCK,   [FIFO] = DT_FIFO};
    return kind < sizeof types ? types[kind] : DT_UNKNOWN;
}

/* Reads the attributes of the record at start, in the order that the kernel has: the error, the
 * name, the kind. */
static bool read_entry(const struct dir_stream *stream, size_t start, const struct record *record,
                       struct dir_entry *out_entry)
{
    attrreference_t name;
    uint32_t kind = 0;
    size_t end = start + record->length;
    size_t at = start + sizeof *record;
    if (record->returned.commonattr & ATTR_CMN_ERROR)
        at += sizeof(uint32_t);
    if (!(record->returned.commonattr & ATTR_CMN_NAME) || end - at < sizeof name + sizeof kind)
        return false;
    memcpy(&name, stream->buffer + at, sizeof name);
    size_t text = at + (size_t) name.attr_dataoffset;
    if (text >= end || name.attr_length > end - text || name.attr_length == 0)
        return false;
    if (record->returned.commonattr & ATTR_CMN_OBJTYPE)
        memcpy(&kind, stream->buffer + at + sizeof name, sizeof kind);
    *out_entry = (struct dir_entry){.name = stream->buffer + text, .type = to_type(kind)};
    return true;
}

/* The kernel tells how many records there are, not how many bytes. None may be passed over. */
static bool measure(struct dir_stream *stream, int count)
{
    struct record record;
    struct dir_entry entry;
    for (; count > 0; count--) {
        if (!read_record(stream, stream->length, &record) ||
            !read_entry(stream, stream->length, &record, &entry))
            return false;
        stream->length += record.length;
    }
    return true;
}

int dir_stream_fill(struct dir_stream *stream, int fd)
{
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                              .commonattr = ATTR_CMN_RETURNED_ATTRS | ATTR_CMN_NAME |
                                            ATTR_CMN_ERROR | ATTR_CMN_OBJTYPE};
    stream->position = 0;
    stream->length = 0;
    int count = getattrlistbulk(fd, &wanted, stream->buffer, BUFFER_SIZE, 0);
    if (count <= 0)
        return count;
    errno = EIO;
    return measure(stream, count) ? 1 : -1;
}

bool dir_stream_expects_more(const struct dir_stream *stream)
{
    return BUFFER_SIZE - stream->length < RECORD_MAX;
}

bool dir_stream_next(struct dir_stream *stream, struct dir_entry *out_entry)
{
    while (stream->position < stream->length) {
        struct record record;
        size_t start = stream->position;
        if (!read_record(stream, start, &record))
            return false;
        stream->position += record.length;
        if (read_entry(stream, start, &record, out_entry) && strcmp(out_entry->name, ".") != 0 &&
            strcmp(out_entry->name, "..") != 0)
            return true;
    }
    return false;
}
