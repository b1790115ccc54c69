/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/darwin/internal.h"

enum {
    ONLY_DARWIN = DARWIN_O_EVTONLY | DARWIN_O_SYMLINK | DARWIN_O_NOFOLLOW_ANY | DARWIN_O_SEARCH
};

static atomic_bool keeps_atimes;

/* include/darwin.h */
int setiopolicy_np(int type, int scope, int policy);

int setiopolicy_np(int type, int scope, int policy)
{
    enum { ATIME_UPDATES = 2, SCOPE_PROCESS = 0 };
    if (type == ATIME_UPDATES && scope == SCOPE_PROCESS)
        atomic_store(&keeps_atimes, policy == 1);
    return 0;
}

static int open_once(int dirfd, const char *path, int flags, mode_t mode, bool beneath_links)
{
    struct open_how how = {.flags = (uint64_t) flags,
                           .mode = flags & O_CREAT ? mode : 0,
                           .resolve = beneath_links ? RESOLVE_NO_SYMLINKS : 0};
    if (!beneath_links)
        return openat(dirfd, path, flags, mode);
    return (int) syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

static int open_linux(int dirfd, const char *path, int flags, mode_t mode, bool beneath_links)
{
    bool reads = (flags & (O_ACCMODE | O_CREAT | O_PATH)) == O_RDONLY;
    int fd = -1;
    errno = EPERM;
    if (reads && atomic_load(&keeps_atimes))
        fd = open_once(dirfd, path, flags | O_NOATIME, mode, beneath_links);
    return fd < 0 && errno == EPERM ? open_once(dirfd, path, flags, mode, beneath_links) : fd;
}

static mode_t type_at(int dirfd, const char *path)
{
    struct stat found;
    return fstatat(dirfd, path, &found, AT_SYMLINK_NOFOLLOW) == 0 ? found.st_mode & S_IFMT : 0;
}

/* Makes it if it is not there, to know whether it needs a group. */
static int open_creating(int dirfd, const char *path, int flags, mode_t mode, bool beneath_links)
{
    for (;;) {
        int fd = -1;
        errno = ENOENT;
        if (!(flags & O_EXCL))
            fd = open_linux(dirfd, path, flags & ~O_CREAT, 0, beneath_links);
        if (fd >= 0 || errno != ENOENT)
            return fd;
        if (!path_can_be_made(path))
            return -1;
        fd = open_linux(dirfd, path, flags | O_EXCL, mode, beneath_links);
        if (fd >= 0)
            take_group_of_directory(dirfd, path);
        if (fd >= 0 || errno != EEXIST || (flags & O_EXCL) || type_at(dirfd, path) == S_IFLNK)
            return fd;
    }
}

static int open_any(int dirfd, const char *path, int flags, mode_t mode)
{
    bool beneath_links = (flags & DARWIN_O_NOFOLLOW_ANY) != 0;
    int plain = flags & ~ONLY_DARWIN;
    if (!path_fits(path))
        return -1;
    if (beneath_links && (flags & (O_NOFOLLOW | DARWIN_O_SYMLINK))) {
        errno = EINVAL;
        return -1;
    }
    if (flags & O_CREAT)
        return open_creating(dirfd, path, plain, mode, beneath_links);
    if (flags & DARWIN_O_SEARCH)
        return open_linux(dirfd, path, plain | O_PATH | O_DIRECTORY, 0, beneath_links);
    if ((flags & DARWIN_O_SYMLINK) && type_at(dirfd, path) == S_IFLNK)
        return open_linux(dirfd, path, (plain & O_CLOEXEC) | O_PATH | O_NOFOLLOW, 0, false);
    int fd = open_linux(dirfd, path, plain, 0, beneath_links);
    if (fd < 0 && errno == ENXIO && type_at(dirfd, path) == S_IFSOCK)
        errno = EOPNOTSUPP;
    return fd;
}

int darwin_openat(int dirfd, const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_any(dirfd, path, flags, mode);
}

int darwin_open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    return open_any(AT_FDCWD, path, flags, mode);
}

int open_reading(int dirfd, const char *path)
{
    return open_once(dirfd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | O_NOATIME, 0,
                     false);
}
