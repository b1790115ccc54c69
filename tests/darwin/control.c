/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tests/darwin/internal.h"
#include "tests/darwin/losses.h"

/* include/darwin.h, base/volume_darwin.c */
int fsync_volume_np(int fd, int flags);
ssize_t freadlink(int fd, char *target, size_t size);

enum { PATH_BYTES = 1024, ALLOCATE_FROM_END = 3 };

static int get_path(int fd, char *path)
{
    ssize_t length = readlink(proc_path(fd).text, path, PATH_BYTES - 1);
    if (length < 0)
        return -1;
    path[length] = '\0';
    return 0;
}

static int preallocate(int fd, fstore_t *store)
{
    struct stat found;
    if (store->fst_posmode != ALLOCATE_FROM_END || store->fst_offset != 0) {
        errno = EINVAL;
        return -1;
    }
    if (fstat(fd, &found) != 0 ||
        fallocate(fd, FALLOC_FL_KEEP_SIZE, found.st_size, store->fst_length) != 0)
        return -1;
    store->fst_bytesalloc = store->fst_length;
    return 0;
}

static int punch_hole(int fd, const fpunchhole_t *hole)
{
    enum { BLOCK = 4096 };
    if (hole->fp_offset % BLOCK != 0 || hole->fp_length % BLOCK != 0) {
        errno = EINVAL;
        return -1;
    }
    return fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, hole->fp_offset,
                     hole->fp_length);
}

static int advise(int fd, const struct radvisory *advice)
{
    errno = posix_fadvise(fd, advice->ra_offset, advice->ra_count, POSIX_FADV_WILLNEED);
    return errno == 0 ? 0 : -1;
}

/* What is in memory stays there on a Mac; that a later read asks the disk is what callers want. */
static int stop_caching(int fd)
{
    errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return errno == 0 ? 0 : -1;
}

static atomic_int flush_failure; /* 0: none */

void darwin_flush_fails(int code)
{
    atomic_store(&flush_failure, code);
}

/* -1 and errno for the one call that is to fail. */
static int check_flush(void)
{
    int code = atomic_exchange(&flush_failure, 0);
    errno = code != 0 ? code : errno;
    return code != 0 ? -1 : 0;
}

int darwin_fcntl(int fd, int command, ...)
{
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    switch (command) {
    case DARWIN_F_FULLFSYNC:
    case DARWIN_F_BARRIERFSYNC:
        return check_flush() == 0 ? fsync(fd) : -1;
    case DARWIN_F_GETPATH:
        return get_path(fd, argument);
    case DARWIN_F_PREALLOCATE:
        return preallocate(fd, argument);
    case DARWIN_F_PUNCHHOLE:
        return punch_hole(fd, argument);
    case DARWIN_F_RDADVISE:
        return advise(fd, argument);
    case DARWIN_F_NOCACHE:
        return stop_caching(fd);
    case DARWIN_F_RDAHEAD:
        return 0;
    default:
        return fcntl(fd, command, argument);
    }
}

/* The volumes of Linux tell names that differ by case apart. */
/* Two of the volumes of the tests take names that differ by case for one: a folder of ext4 that
 * folds them, and the one that is served through FUSE. */
static bool folds(int fd)
{
    struct statfs raw;
    int flags = 0;
    return (fstatfs(fd, &raw) == 0 && raw.f_type == FUSE_SUPER_MAGIC) ||
           (ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_CASEFOLD_FL) != 0);
}

long darwin_fpathconf(int fd, int name)
{
    return name == DARWIN_PC_CASE_SENSITIVE ? !folds(fd) : fpathconf(fd, name);
}

int fsync_volume_np(int fd, int flags)
{
    enum { FULL = 1, WAIT = 2 };
    if (flags & ~(FULL | WAIT)) {
        errno = EINVAL;
        return -1;
    }
    return check_flush() == 0 ? syncfs(fd) : -1;
}

ssize_t freadlink(int fd, char *target, size_t size)
{
    return readlinkat(fd, "", target, size);
}
