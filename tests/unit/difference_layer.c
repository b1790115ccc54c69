/* SPDX-License-Identifier: Apache-2.0 */
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/difference_layer.h"

static int write_memory(struct layer_sink *sink, const void *data, size_t size, struct error *error)
{
    struct difference_layer *memory = (struct difference_layer *) sink;
    int code = memory->hook ? memory->hook(memory->context) : 0;
    if (code != 0)
        return error_set(error, (enum error_code) code, "the sink is full");
    memory->written += size;
    if (memory->drop)
        return 0;
    memory->data = mem_resize(memory->data, memory->size + size, 1);
    memcpy(memory->data + memory->size, data, size);
    memory->size += size;
    return 0;
}

void difference_layer_init(struct difference_layer *memory)
{
    *memory = (struct difference_layer){.sink.write = write_memory};
}

void difference_layer_clear(struct difference_layer *memory)
{
    mem_free(&memory->data);
}

int difference_layer_make(struct difference_layer *memory, int dirfd, const char *left,
                          const char *right, const struct timestamp *cloned, struct error *error)
{
    owned(fd_close) int left_fd = left ? fd_open_dir(dirfd, left) : -1;
    owned(fd_close) int right_fd = fd_open_dir(dirfd, right);
    struct layer_difference_options options = {
        .left_fd = left_fd, .right_fd = right_fd, .cloned = cloned};
    assert_true(right_fd >= 0 && (!left || left_fd >= 0));
    return layer_difference(&options, &memory->sink, &memory->result, error);
}

static char *escape(const char *text)
{
    char *escaped = mem_alloc(4 * strlen(text) + 1);
    char *end = escaped;
    for (; *text; text++) {
        if ((unsigned char) *text < 0x80 && *text != '\n')
            *end++ = *text;
        else
            end += sprintf(end, "\\x%02x", (unsigned char) *text);
    }
    return escaped;
}

static char *describe(struct archive_entry *entry)
{
    owned(mem_free) char *path = escape(archive_entry_pathname(entry));
    const char *target = archive_entry_hardlink(entry);
    if (target) {
        owned(mem_free) char *text = escape(target);
        return mem_printf("h %s -> %s\n", path, text);
    }
    switch (archive_entry_filetype(entry)) {
    case AE_IFDIR:
        return mem_printf("d %s\n", path);
    case AE_IFREG:
        return mem_printf("f %s %" PRId64 "\n", path, archive_entry_size(entry));
    case AE_IFLNK:
        return mem_printf("l %s -> %s\n", path, archive_entry_symlink(entry));
    case AE_IFIFO:
        return mem_printf("p %s\n", path);
    default:
        return mem_printf("%c %s %u,%u\n", archive_entry_filetype(entry) == AE_IFCHR ? 'c' : 'b',
                          path, major(archive_entry_rdev(entry)), minor(archive_entry_rdev(entry)));
    }
}

char *difference_layer_list(const struct difference_layer *memory)
{
    char *list = mem_strdup("");
    struct archive_entry *entry = NULL;
    struct archive *archive = archive_read_new();
    int result = archive_read_support_format_tar(archive);
    if (result == ARCHIVE_OK)
        result = archive_read_open_memory(archive, memory->data, memory->size);
    while (result >= ARCHIVE_WARN &&
           (result = archive_read_next_header(archive, &entry)) >= ARCHIVE_WARN &&
           result != ARCHIVE_EOF) {
        owned(mem_free) char *line = describe(entry);
        owned(mem_free) char *before = list;
        list = mem_printf("%s%s", before, line);
        result = archive_read_data_skip(archive);
        if (result == ARCHIVE_EOF)
            result = ARCHIVE_OK;
    }
    if (result != ARCHIVE_EOF)
        fail_msg("not a valid archive: %s", archive_error_string(archive));
    (void) archive_read_free(archive);
    return list;
}
