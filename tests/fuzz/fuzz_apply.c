/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/log.h"
#include "diff/apply.h"
#include "tree/tree.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * The first byte of an input is a set of these, the rest is an archive. It is unpacked into
 * TOP/in/root, and nothing else below TOP may change.
 */
enum { WITH_APPLEDOUBLE = 1, WITH_FLAGS = 2, FIX_CHECKSUMS = 4, TWICE = 8, WITH_FOLDING = 16 };

enum { BLOCK = 512, CHECKSUM = 148, TYPE = 156, SIZE = 124, ARCHIVE_MAX = 1 << 20 };

static const char *const watched[] = {"", "outside", "outside/file", "in"};
enum { WATCHED = sizeof watched / sizeof watched[0] };

static char top[256];
static int top_fd = -1;
static int in_fd = -1;
static struct stat before[WATCHED];

static void expect(bool condition)
{
    if (!condition)
        abort();
}

static void remove_top(void)
{
    (void) tree_remove(AT_FDCWD, top, NULL, NULL);
}

static void make_top(void)
{
    const char *const folders[] = {getenv("TMPDIR"), "/dev/shm", "/tmp"}; /* memory is faster */
    char *made = NULL;
    for (size_t i = 0; !made && i < sizeof folders / sizeof folders[0]; i++) {
        (void) snprintf(top, sizeof top, "%s/clonefs-fuzz-XXXXXX", folders[i] ? folders[i] : "");
        made = folders[i] ? mkdtemp(top) : NULL;
    }
    expect(made != NULL);
    (void) atexit(remove_top);
    top_fd = fd_open_dir(AT_FDCWD, top);
    in_fd = fd_make_dir(top_fd, "in", 0755, NULL);
    int outside = fd_make_dir(top_fd, "outside", 0755, NULL);
    expect(in_fd >= 0 && fd_publish_small(outside, "file", "kept", 4, NULL) == 0);
    fd_close(&outside);
    for (size_t i = 0; i < WATCHED; i++)
        expect(fstatat(top_fd, watched[i], &before[i], AT_EMPTY_PATH) == 0);
    log_set_level(LOG_LEVEL_ERROR);
}

/* A change time tells every change. That of "in" changes with root itself; it holds nothing else.
 */
static void check_top(void)
{
    for (size_t i = 0; i < WATCHED; i++) {
        struct stat after;
        bool is_in = strcmp(watched[i], "in") == 0;
        expect(fstatat(top_fd, watched[i], &after, AT_EMPTY_PATH) == 0);
        expect(after.st_nlink == before[i].st_nlink && after.st_mode == before[i].st_mode &&
               after.st_uid == before[i].st_uid);
        expect(is_in || (after.st_ctim.tv_sec == before[i].st_ctim.tv_sec &&
                         after.st_ctim.tv_nsec == before[i].st_ctim.tv_nsec));
    }
}

struct input {
    struct layer_source base; /* first */
    const uint8_t *data;
    size_t size;
};

static ssize_t read_input(struct layer_source *base, void *buffer, size_t size, struct error *error)
{
    struct input *input = (struct input *) base;
    size_t count = size < input->size ? size : input->size;
    (void) error;
    if (count > 0)
        memcpy(buffer, input->data, count);
    input->data += count;
    input->size -= count;
    return (ssize_t) count;
}

static void close_input(struct layer_source *base)
{
    (void) base;
}

static void fix_checksum(uint8_t *header)
{
    unsigned sum = 0;
    char text[16];
    memset(header + CHECKSUM, ' ', 8);
    for (size_t i = 0; i < BLOCK; i++)
        sum += header[i];
    (void) snprintf(text, sizeof text, "%06o", sum);
    memcpy(header + CHECKSUM, text, 7);
}

/* Follows the headers as far as that is easy. */
static void fix_archive(uint8_t *data, size_t size)
{
    static const uint8_t zeros[BLOCK];
    size_t offset = 0;
    while (offset <= size && size - offset >= BLOCK) {
        uint8_t *header = data + offset;
        char digits[13] = "";
        if (memcmp(header, zeros, BLOCK) == 0)
            return;
        fix_checksum(header);
        memcpy(digits, header + SIZE, 12);
        size_t body = (size_t) strtoul(digits, NULL, 8);
        bool has_body = header[TYPE] != '\0' && strchr("0xgLK", header[TYPE]) != NULL;
        offset += BLOCK;
        if (has_body && body < ARCHIVE_MAX)
            offset += (body + BLOCK - 1) / BLOCK * BLOCK;
    }
}

static void apply(int root_fd, const uint8_t *data, size_t size, unsigned how)
{
    struct input input = {
        .base = {.read = read_input, .close = close_input}, .data = data, .size = size};
    struct layer_apply_options options = {.limits = LAYER_LIMITS_DEFAULT,
                                          .file_flags = (how & WITH_FLAGS) != 0,
                                          .names.spelling.folds = (how & WITH_FOLDING) != 0};
    options.appledouble = how & WITH_APPLEDOUBLE ? LAYER_APPLEDOUBLE_APPLY : LAYER_APPLEDOUBLE_FILE;
    options.limits.path_depth = 64;
    const struct layer_stream_options stream_options = {.raw = true};
    struct layer_stream *stream = NULL;
    struct layer_apply_result result = {0};
    struct error error = {0};
    if (layer_stream_open(&input.base, &stream_options, &stream, NULL) != 0)
        return; /* no thread */
    int code = layer_apply(root_fd, stream, &options, &result, &error);
    layer_stream_clear(&stream);
    expect(code == 0 || (error.code == code && error.message[0]));
    expect(code == 0 || code == ERROR_INVALID || code == ERROR_NO_SPACE || code == ERROR_IO);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    if (top_fd < 0)
        make_top();
    unsigned how = *data;
    uint8_t *archive = malloc(size);
    memcpy(archive, data + 1, size - 1);
    if (how & FIX_CHECKSUMS)
        fix_archive(archive, size - 1);
    int root_fd = fd_make_dir(in_fd, "root", 0755, NULL);
    expect(root_fd >= 0);
    apply(root_fd, archive, size - 1, how);
    if (how & TWICE)
        apply(root_fd, archive, size - 1, how);
    free(archive);
    fd_close(&root_fd);
    expect(tree_remove(in_fd, "root", NULL, NULL) == 0);
    check_top();
    return 0;
}
