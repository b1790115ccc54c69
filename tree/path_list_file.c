/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/path_list.h"

/*
 * The file: a head, then for each item its figures and its path with a NUL, then the SHA-256 of all
 * that. Numbers are as this machine has them.
 */
struct head {
    char magic[16];
    uint64_t count;
};

struct figures {
    uint64_t what;
    uint64_t group;
    uint64_t entries;
    uint64_t bytes;
};

static const size_t file_max = sizeof(struct head) + PATH_LIST_MAX * sizeof(struct figures) +
                               PATH_LIST_TEXT_MAX + DIGEST_SHA256_SIZE;

static size_t put(char *bytes, size_t at, const void *data, size_t size)
{
    memcpy(bytes + at, data, size);
    return at + size;
}

static struct head make_head(const char *magic, uint64_t count)
{
    struct head head = {.count = count};
    (void) snprintf(head.magic, sizeof head.magic, "%s", magic);
    return head;
}

static char *encode(const struct path_list *list, const char *magic, size_t *out_size)
{
    const struct head head = make_head(magic, list->count);
    char *bytes = mem_alloc(sizeof head + list->count * sizeof(struct figures) + list->text_size +
                            DIGEST_SHA256_SIZE);
    size_t size = put(bytes, 0, &head, sizeof head);
    for (size_t i = 0; i < list->count; i++) {
        const struct path_item *item = &list->items[i];
        const struct figures figures = {item->what, item->group, item->entries, item->bytes};
        size = put(bytes, size, &figures, sizeof figures);
        size = put(bytes, size, item->path, strlen(item->path) + 1);
    }
    digest_sha256(bytes, size, (uint8_t *) bytes + size);
    *out_size = size + DIGEST_SHA256_SIZE;
    return bytes;
}

static int write_file(int dirfd, const char *name, char *bytes, size_t size)
{
    (void) unlinkat(dirfd, name, 0);
    owned(fd_close) int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    const struct iovec all = {.iov_base = bytes, .iov_len = size};
    return fd < 0 ? -1 : fd_write_all(fd, &all, 1, 0);
}

int path_list_save(const struct path_list *list, const char *magic, int dirfd, const char *name,
                   struct error *error)
{
    size_t size = 0;
    owned(mem_free) char *bytes = encode(list, magic, &size);
    owned(mem_free) char *aside = mem_printf("%s.new", name);
    if (write_file(dirfd, aside, bytes, size) == 0 && renameat(dirfd, aside, dirfd, name) == 0)
        return 0;
    int saved = errno;
    (void) unlinkat(dirfd, aside, 0);
    errno = saved;
    return error_errno(error, "cannot write the list %s", name);
}

/* The whole file, or NULL. */
static char *read_file(int dirfd, const char *name, size_t *out_size)
{
    struct stat found;
    owned(fd_close) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &found) != 0 || found.st_size <= 0 ||
        (uint64_t) found.st_size > file_max)
        return NULL;
    size_t size = (size_t) found.st_size;
    owned(mem_free) char *bytes = mem_alloc(size);
    for (size_t at = 0; at < size;) {
        ssize_t length = pread(fd, bytes + at, size - at, (off_t) at);
        if (length <= 0)
            return NULL;
        at += (size_t) length;
    }
    *out_size = size;
    return mem_take(&bytes);
}

/* The bytes in front of the check sum; false if it is another one's. */
static bool check(const char *bytes, const char *magic, size_t *inout_size, struct head *out_head)
{
    const struct head wanted = make_head(magic, 0);
    uint8_t digest[DIGEST_SHA256_SIZE];
    if (*inout_size < sizeof *out_head + sizeof digest)
        return false;
    *inout_size -= sizeof digest;
    digest_sha256(bytes, *inout_size, digest);
    memcpy(out_head, bytes, sizeof *out_head);
    return memcmp(digest, bytes + *inout_size, sizeof digest) == 0 &&
           memcmp(out_head->magic, wanted.magic, sizeof wanted.magic) == 0;
}

static bool decode(struct path_list *list, const char *bytes, size_t size, uint64_t count)
{
    size_t at = sizeof(struct head);
    for (uint64_t i = 0; i < count; i++) {
        struct figures figures;
        if (size - at < sizeof figures)
            return false;
        memcpy(&figures, bytes + at, sizeof figures);
        at += sizeof figures;
        size_t length = strnlen(bytes + at, size - at);
        if (length == size - at || figures.group > count)
            return false;
        const struct path_item item = {.path = bytes + at,
                                       .what = (unsigned) figures.what,
                                       .group = figures.group,
                                       .entries = figures.entries,
                                       .bytes = figures.bytes};
        if (!path_list_add(list, &item))
            return false;
        at += length + 1;
    }
    return at == size;
}

bool path_list_load(struct path_list *out_list, const char *magic, int dirfd, const char *name)
{
    size_t size = 0;
    struct head head;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    owned(mem_free) char *bytes = read_file(dirfd, name, &size);
    if (!bytes || !check(bytes, magic, &size, &head) || !decode(&list, bytes, size, head.count))
        return false;
    *out_list = list;
    list = PATH_LIST_NULL;
    return true;
}
