/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/file_data.h"

#include <errno.h>
#include <stdbool.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/walk.h"

static bool same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

int file_data_check(int fd, const struct os_stat *stat, struct error *error)
{
    struct os_stat now;
    if (os_stat(fd, &now) != 0)
        return error_errno(error, "cannot read the attributes");
    if (now.dev == stat->dev && now.ino == stat->ino && now.size_bytes == stat->size_bytes &&
        same_time(now.mtime, stat->mtime) && same_time(now.ctime, stat->ctime))
        return 0;
    return error_set(error, ERROR_PRECONDITION, "changed while the tree was being read");
}

int file_data_open(int dirfd, const char *name, const struct os_stat *stat, int *out_fd,
                   struct error *error)
{
    owned(fd_close) int fd = os_open_file(dirfd, name);
    if (fd < 0)
        return walk_open_error(error);
    int code = file_data_check(fd, stat, error);
    if (code == 0)
        *out_fd = fd_take(&fd);
    return code;
}

uint64_t file_data_next(int fd, uint64_t offset, uint64_t size)
{
    off_t data = lseek(fd, (off_t) offset, SEEK_DATA);
    if (data < 0)
        return errno == ENXIO ? size : offset;
    return (uint64_t) data < size ? (uint64_t) data : size;
}

uint64_t file_data_end(int fd, uint64_t offset, uint64_t size)
{
    off_t hole = lseek(fd, (off_t) offset, SEEK_HOLE);
    return hole < 0 || (uint64_t) hole > size ? size : (uint64_t) hole;
}
