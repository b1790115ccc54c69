/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/checked_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/fd.h"
#include "base/mem.h"

enum { MAGIC_SIZE = 16 };

static void make_magic(char magic[MAGIC_SIZE], const char *text)
{
    memset(magic, 0, MAGIC_SIZE);
    (void) snprintf(magic, MAGIC_SIZE, "%s", text);
}

static int write_file(int dirfd, const char *name, const struct iovec parts[3])
{
    (void) unlinkat(dirfd, name, 0);
    owned(fd_close) int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    return fd < 0 ? -1 : fd_write_all(fd, parts, 3, 0);
}

int checked_file_save(int dirfd, const char *name, const char *magic, const void *content,
                      size_t size, struct error *error)
{
    char head[MAGIC_SIZE];
    struct digest digest;
    owned(digester_clear) struct digester *digester = digester_new(DIGEST_SHA256);
    owned(mem_free) char *aside = mem_printf("%s.new", name);
    make_magic(head, magic);
    digester_add(digester, head, sizeof head);
    digester_add(digester, content, size);
    digester_read(digester, &digest);
    const struct iovec parts[] = {
        {head, sizeof head}, {(void *) content, size}, {digest.bytes, DIGEST_SHA256_SIZE}};
    if (write_file(dirfd, aside, parts) == 0 && renameat(dirfd, aside, dirfd, name) == 0)
        return 0;
    int saved = errno;
    (void) unlinkat(dirfd, aside, 0);
    errno = saved;
    return error_errno(error, "cannot write the file %s", name);
}

static int damaged(struct error *error, const char *name)
{
    return error_set(error, ERROR_CORRUPT, "the file %s is missing or damaged", name);
}

/* What is there instead of a file is damage too, and does not keep us waiting (a FIFO). */
static int open_file(int dirfd, const char *name, size_t max, size_t *out_size, struct error *error)
{
    struct stat found;
    int fd = openat(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return fd_found_no_file(errno) ? damaged(error, name)
                                       : error_errno(error, "cannot read the file %s", name);
    if (fstat(fd, &found) == 0 && S_ISREG(found.st_mode) && found.st_size > 0 &&
        (uint64_t) found.st_size <= max) {
        *out_size = (size_t) found.st_size;
        return fd;
    }
    fd_close(&fd);
    return damaged(error, name);
}

/* The whole file. */
static int read_file(int dirfd, const char *name, size_t max, char **out_bytes, size_t *out_size,
                     struct error *error)
{
    owned(fd_close) int fd = open_file(dirfd, name, max, out_size, error);
    if (fd < 0)
        return fd;
    owned(mem_free) char *bytes = mem_alloc(*out_size);
    for (size_t at = 0; at < *out_size;) {
        ssize_t length = pread(fd, bytes + at, *out_size - at, (off_t) at);
        if (length < 0)
            return error_errno(error, "cannot read the file %s", name);
        if (length == 0)
            return damaged(error, name);
        at += (size_t) length;
    }
    *out_bytes = mem_take(&bytes);
    return 0;
}

static bool is_whole(const char *bytes, size_t size, const char *magic)
{
    char wanted[MAGIC_SIZE];
    uint8_t digest[DIGEST_SHA256_SIZE];
    make_magic(wanted, magic);
    if (size < MAGIC_SIZE + sizeof digest || memcmp(bytes, wanted, sizeof wanted) != 0)
        return false;
    digest_sha256(bytes, size - sizeof digest, digest);
    return memcmp(digest, bytes + size - sizeof digest, sizeof digest) == 0;
}

int checked_file_load(int dirfd, const char *name, const char *magic, size_t max,
                      char **out_content, size_t *out_size, struct error *error)
{
    size_t size = 0;
    owned(mem_free) char *bytes = NULL;
    int rc = read_file(dirfd, name, max + MAGIC_SIZE + DIGEST_SHA256_SIZE, &bytes, &size, error);
    if (!bytes)
        return rc;
    if (!is_whole(bytes, size, magic))
        return damaged(error, name);
    *out_size = size - MAGIC_SIZE - DIGEST_SHA256_SIZE;
    memmove(bytes, bytes + MAGIC_SIZE, *out_size);
    *out_content = mem_take(&bytes);
    return 0;
}
