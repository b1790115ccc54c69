/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/dir_stream.h"

#include <dirent.h>
#include <string.h>
#include <sys/types.h>

#include "base/mem.h"

/* Some 400 entries: enough to make the call cheap, few enough to share a big directory evenly
 * between threads. */
enum { BUFFER_SIZE = 16 * 1024 };

void dir_stream_init(struct dir_stream *stream)
{
    *stream = (struct dir_stream){.buffer = mem_alloc(BUFFER_SIZE)};
}

void dir_stream_clear(struct dir_stream *stream)
{
    mem_free(&stream->buffer);
}

int dir_stream_fill(struct dir_stream *stream, int fd)
{
    ssize_t length = getdents64(fd, stream->buffer, BUFFER_SIZE);
    stream->position = 0;
    stream->length = length > 0 ? (size_t) length : 0;
    return length > 0 ? 1 : (int) length;
}

bool dir_stream_expects_more(const struct dir_stream *stream)
{
    return BUFFER_SIZE - stream->length < sizeof(struct dirent64);
}

bool dir_stream_next(struct dir_stream *stream, struct dir_entry *out_entry)
{
    while (stream->position < stream->length) {
        const struct dirent64 *entry =
            (const struct dirent64 *) (const void *) (stream->buffer + stream->position);
        stream->position += entry->d_reclen;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        *out_entry = (struct dir_entry){.name = entry->d_name, .type = entry->d_type};
        return true;
    }
    return false;
}
