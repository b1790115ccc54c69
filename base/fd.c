/* SPDX-License-Identifier: Apache-2.0 */
#include "base/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"

/* Segments that one call writes. */
enum { WRITE_BATCH = 64 };

void fd_close(int *fd)
{
    if (*fd < 0)
        return;
    int saved = errno;
    (void) close(*fd); /* a close error of what we only read, or have fsynced, says nothing */
    *fd = -1;
    errno = saved;
}

int fd_take(int *fd)
{
    int value = *fd;
    *fd = -1;
    return value;
}

/* A socket: ENXIO, on macOS EOPNOTSUPP. */
bool fd_found_no_file(int sys)
{
    return sys == ENOENT || sys == ELOOP || sys == ENXIO || sys == EOPNOTSUPP;
}

int fd_open_dir(int dirfd, const char *name)
{
    return openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

int fd_make_dir(int dirfd, const char *name, mode_t mode, struct error *error)
{
    bool made = mkdirat(dirfd, name, mode) == 0;
    if (!made && errno != EEXIST)
        return error_errno(error, "cannot make the directory %s", name);
    owned(fd_close) int fd = fd_open_dir(dirfd, name);
    if (fd < 0)
        return error_errno(error, "cannot open the directory %s", name);
    if (made && fchmod(fd, mode) != 0)
        return error_errno(error, "cannot set the mode of the directory %s", name);
    return fd_take(&fd);
}

ssize_t fd_read_small(int dirfd, const char *name, char *buffer, size_t size)
{
    owned(fd_close) int fd = openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    size_t length = 0;
    while (length < size - 1) {
        ssize_t got = read(fd, buffer + length, size - 1 - length);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        length += (size_t) got;
    }
    buffer[length] = '\0';
    return (ssize_t) length;
}

static int write_all(int fd, const char *data, size_t size)
{
    while (size > 0) {
        ssize_t put = write(fd, data, size);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return -1;
        data += put;
        size -= (size_t) put;
    }
    return 0;
}

int fd_publish_small(int dirfd, const char *name, const char *data, size_t size,
                     struct error *error)
{
    char staged[64];
    (void) snprintf(staged, sizeof staged, "%s.new", name);
    owned(fd_close) int fd =
        openat(dirfd, staged, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "cannot create %s", staged);
    if (write_all(fd, data, size) != 0 || fsync(fd) != 0)
        return error_errno(error, "cannot write %s", staged);
    if (renameat(dirfd, staged, dirfd, name) != 0)
        return error_errno(error, "cannot rename %s to %s", staged, name);
    if (fsync(dirfd) != 0)
        return error_errno(error, "cannot flush the directory of %s", name);
    return 0;
}

int fd_write_all(int fd, const struct iovec *segments, size_t count, uint64_t offset)
{
    size_t done = 0; /* of the first segment */
    while (count > 0) {
        struct iovec batch[WRITE_BATCH];
        size_t size = count < WRITE_BATCH ? count : WRITE_BATCH;
        memcpy(batch, segments, size * sizeof *batch);
        batch[0].iov_base = (char *) batch[0].iov_base + done;
        batch[0].iov_len -= done;
        ssize_t written = pwritev(fd, batch, (int) size, (off_t) offset);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return -1;
        offset += (uint64_t) written;
        for (done += (size_t) written; count > 0 && done >= segments->iov_len; count--)
            done -= segments++->iov_len;
    }
    return 0;
}

bool fd_name_is_id(const char *name)
{
    if (name[0] == '0' || name[0] == '\0')
        return false;
    size_t length = 0;
    for (; name[length]; length++)
        if (name[length] < '0' || name[length] > '9')
            return false;
    return length <= 18;
}
