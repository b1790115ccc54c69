/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/stat.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/darwin/internal.h"

/* include/darwin.h */
int chflags(const char *path, unsigned flags);
int lchflags(const char *path, unsigned flags);
int fchflags(int fd, unsigned flags);

/*
 * Three flags are those of Linux, where a volume has them, so that the kernel obeys them and other
 * programs see them. The others are in an attribute of ours, which is only there if it has to be.
 */
static const uint32_t immutable = UF_IMMUTABLE | SF_IMMUTABLE;
static const uint32_t append = UF_APPEND | SF_APPEND;
static const uint32_t forbid_removal =
    UF_IMMUTABLE | SF_IMMUTABLE | UF_APPEND | SF_APPEND | SF_NOUNLINK;
static const uint32_t never_set = UF_DATAVAULT | SF_RESTRICTED | SF_FIRMLINK | SF_DATALESS;

static bool has_linux_flags(mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode);
}

/* What the kernel says of one flag wins over what we have noted. */
static uint32_t merge(uint32_t flags, bool known, bool present, uint32_t all, uint32_t usual)
{
    if (!known)
        return flags;
    if (!present)
        return flags & ~all;
    return flags & all ? flags : flags | usual;
}

uint32_t flags_read(const struct proc_path *path, mode_t mode, uint64_t attributes, uint64_t mask)
{
    uint32_t flags = 0;
    if (proc_get(path, OWN_FLAGS, &flags, sizeof flags) != sizeof flags)
        flags = 0;
    if (!has_linux_flags(mode))
        return flags;
    flags = merge(flags, mask & STATX_ATTR_IMMUTABLE, attributes & STATX_ATTR_IMMUTABLE, immutable,
                  UF_IMMUTABLE);
    flags =
        merge(flags, mask & STATX_ATTR_APPEND, attributes & STATX_ATTR_APPEND, append, UF_APPEND);
    return merge(flags, mask & STATX_ATTR_NODUMP, attributes & STATX_ATTR_NODUMP, UF_NODUMP,
                 UF_NODUMP);
}

static int note(int fd, uint32_t flags)
{
    struct proc_path path = proc_path(fd);
    if (flags != 0)
        return proc_set(&path, OWN_FLAGS, &flags, sizeof flags, 0);
    return proc_remove(&path, OWN_FLAGS) == 0 || errno == ENODATA || errno == EOPNOTSUPP ? 0 : -1;
}

static int change_linux_flags(int fd, int clear, int set)
{
    int raw = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &raw) != 0)
        return -1;
    int wanted = (raw & ~clear) | set;
    return wanted == raw ? 0 : ioctl(fd, FS_IOC_SETFLAGS, &wanted);
}

static int to_linux(uint32_t flags)
{
    return (flags & immutable ? FS_IMMUTABLE_FL : 0) | (flags & append ? FS_APPEND_FL : 0) |
           (flags & UF_NODUMP ? FS_NODUMP_FL : 0);
}

static const int linux_flags = FS_IMMUTABLE_FL | FS_APPEND_FL | FS_NODUMP_FL;
static const uint32_t shown_by_linux = UF_IMMUTABLE | UF_APPEND | UF_NODUMP;

/* The old ones first off: an immutable inode takes no attribute either. */
int fchflags(int fd, unsigned flags)
{
    struct inode found;
    if (inode_read(fd, "", AT_EMPTY_PATH, &found) != 0)
        return -1;
    if ((flags & ~found.stat.st_flags) & never_set) {
        errno = EPERM;
        return -1;
    }
    if (flags == found.stat.st_flags)
        return 0;
    if (!has_linux_flags(found.stat.st_mode) || change_linux_flags(fd, linux_flags, 0) != 0)
        return note(fd, flags);
    if (note(fd, flags & ~shown_by_linux ? flags : 0) != 0)
        return -1;
    return change_linux_flags(fd, 0, to_linux(flags));
}

static int change_at(const char *path, unsigned flags, int open_flags)
{
    int fd = darwin_openat(AT_FDCWD, path,
                           O_RDONLY | O_NONBLOCK | O_CLOEXEC | DARWIN_O_EVTONLY | open_flags);
    if (fd < 0)
        return -1;
    int result = fchflags(fd, flags);
    int saved = errno;
    (void) close(fd);
    errno = saved;
    return result;
}

int chflags(const char *path, unsigned flags)
{
    return change_at(path, flags, 0);
}

int lchflags(const char *path, unsigned flags)
{
    return change_at(path, flags, DARWIN_O_SYMLINK);
}

bool flags_forbid_removal(int dirfd, const char *path)
{
    struct inode found;
    if (inode_read(dirfd, path, AT_SYMLINK_NOFOLLOW, &found) != 0 ||
        !(found.stat.st_flags & forbid_removal))
        return false;
    errno = EPERM;
    return true;
}
