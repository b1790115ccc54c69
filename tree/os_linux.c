/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"

static int open_beneath_mount(int dirfd, const char *path, int flags)
{
    struct open_how how = {.flags = (uint64_t) (flags | O_NOFOLLOW | O_CLOEXEC),
                           .resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS};
    return (int) syscall(SYS_openat2, dirfd, path, &how, sizeof how);
}

/* Reading an origin must not change it; only its owner and root may ask for that. */
static int open_keeping_atime(int dirfd, const char *path, int flags)
{
    int fd = open_beneath_mount(dirfd, path, flags | O_NOATIME);
    return fd < 0 && errno == EPERM ? open_beneath_mount(dirfd, path, flags) : fd;
}

int os_open_dir(int dirfd, const char *path)
{
    return open_keeping_atime(dirfd, path, O_RDONLY | O_DIRECTORY);
}

int os_open_root(int dirfd, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return os_open_dir(dirfd, path);
    owned(mem_free) char *parent = mem_strndup(path, (size_t) (slash - path) + 1);
    owned(fd_close) int parent_fd = openat(dirfd, parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
    return parent_fd < 0 ? -1 : os_open_dir(parent_fd, slash + 1);
}

int os_open_file(int dirfd, const char *name)
{
    return open_keeping_atime(dirfd, name, O_RDONLY | O_NONBLOCK | O_NOCTTY);
}

int os_open_handle(int dirfd, const char *name)
{
    return open_beneath_mount(dirfd, name, O_PATH);
}

ssize_t os_read_link(int fd, char *target, size_t size)
{
    return readlinkat(fd, "", target, size);
}

ssize_t os_copy_range(int source_fd, int target_fd, off_t offset, size_t size)
{
    off_t target_offset = offset;
    return copy_file_range(source_fd, &offset, target_fd, &target_offset, size, 0);
}

static struct timespec to_timespec(struct statx_timestamp stamp)
{
    return (struct timespec){.tv_sec = stamp.tv_sec, .tv_nsec = stamp.tv_nsec};
}

static unsigned to_flags(uint64_t attributes)
{
    return (attributes & STATX_ATTR_IMMUTABLE ? OS_FLAG_IMMUTABLE : 0U) |
           (attributes & STATX_ATTR_APPEND ? OS_FLAG_APPEND : 0U) |
           (attributes & STATX_ATTR_NODUMP ? OS_FLAG_NODUMP : 0U);
}

static int stat_entry(int fd, const char *name, int flags, struct os_stat *out_stat)
{
    struct statx raw;
    if (statx(fd, name, flags | AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_BASIC_STATS, &raw) !=
        0)
        return -1;
    *out_stat = (struct os_stat){
        .mode = raw.stx_mode,
        .uid = raw.stx_uid,
        .gid = raw.stx_gid,
        .rdev = makedev(raw.stx_rdev_major, raw.stx_rdev_minor),
        .dev = makedev(raw.stx_dev_major, raw.stx_dev_minor),
        .ino = raw.stx_ino,
        .nlink = raw.stx_nlink,
        .size_bytes = raw.stx_size,
        .allocated_bytes = raw.stx_blocks * 512,
        .atime = to_timespec(raw.stx_atime),
        .mtime = to_timespec(raw.stx_mtime),
        .ctime = to_timespec(raw.stx_ctime),
        .flags = to_flags(raw.stx_attributes),
        .mount_root = (raw.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
    };
    return 0;
}

int os_stat(int fd, struct os_stat *out_stat)
{
    return stat_entry(fd, "", AT_EMPTY_PATH, out_stat);
}

int os_stat_at(int dirfd, const char *name, struct os_stat *out_stat)
{
    return stat_entry(dirfd, name, 0, out_stat);
}

/* What XFS tells of itself; the header that defines it comes with its tools. */
struct xfs_geometry {
    uint32_t block_bytes;
    uint32_t realtime_extent_blocks;
    uint32_t group_blocks;
    uint32_t group_count;
    uint32_t log_blocks;
    uint32_t sector_bytes;
    uint32_t inode_bytes;
    uint32_t inode_percent;
    uint64_t rest[10];
};

#define XFS_GEOMETRY _IOR('X', 100, struct xfs_geometry)

static unsigned bits_to_count(uint32_t count)
{
    unsigned bits = 0;
    while (((uint64_t) 1 << bits) < count)
        bits++;
    return bits;
}

/* An inode number of XFS is the group, the block in it, and the inode in the block. */
unsigned os_group_bits(int fd)
{
    struct statfs volume;
    struct xfs_geometry geometry = {0};
    if (fstatfs(fd, &volume) != 0 || volume.f_type != XFS_SUPER_MAGIC ||
        ioctl(fd, XFS_GEOMETRY, &geometry) != 0 || geometry.inode_bytes == 0)
        return 0;
    return bits_to_count(geometry.group_blocks) +
           bits_to_count(geometry.block_bytes / geometry.inode_bytes);
}

int os_set_birth(int fd, const struct timespec *birth)
{
    (void) fd;
    (void) birth;
    errno = EOPNOTSUPP;
    return -1;
}

int os_set_birth_at(int dirfd, const char *entry, const struct timespec *birth)
{
    (void) entry;
    return os_set_birth(dirfd, birth);
}

int os_change_flags(int fd, unsigned flags, bool set)
{
    int raw = 0;
    if (ioctl(fd, FS_IOC_GETFLAGS, &raw) != 0)
        return -1;
    int mask = (flags & OS_FLAG_IMMUTABLE ? FS_IMMUTABLE_FL : 0) |
               (flags & OS_FLAG_APPEND ? FS_APPEND_FL : 0) |
               (flags & OS_FLAG_NODUMP ? FS_NODUMP_FL : 0);
    int wanted = set ? raw | mask : raw & ~mask;
    return wanted == raw ? 0 : ioctl(fd, FS_IOC_SETFLAGS, &wanted);
}

/* The calls by descriptor refuse a handle (EBADF); its name under /proc leads to the very same
 * inode, a symlink included. */
struct handle_path {
    char text[32];
};

static struct handle_path handle_path(int fd)
{
    struct handle_path path = {""};
    (void) snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

/* There is no call that takes a directory and a name (before Linux 6.13). */
struct entry_path {
    char text[32 + NAME_MAX + 1];
};

static struct entry_path entry_path(int dirfd, const char *entry)
{
    struct entry_path path = {""};
    (void) snprintf(path.text, sizeof path.text, "/proc/self/fd/%d/%s", dirfd, entry);
    return path;
}

ssize_t os_xattr_list(int fd, char *names, size_t size)
{
    ssize_t length = flistxattr(fd, names, size);
    return length < 0 && errno == EBADF ? listxattr(handle_path(fd).text, names, size) : length;
}

ssize_t os_xattr_get(int fd, const char *name, void *value, size_t size)
{
    ssize_t length = fgetxattr(fd, name, value, size);
    return length < 0 && errno == EBADF ? getxattr(handle_path(fd).text, name, value, size)
                                        : length;
}

int os_xattr_set(int fd, const char *name, const void *value, size_t size)
{
    int result = fsetxattr(fd, name, value, size, 0);
    return result < 0 && errno == EBADF ? setxattr(handle_path(fd).text, name, value, size, 0)
                                        : result;
}

int os_xattr_remove(int fd, const char *name)
{
    int result = fremovexattr(fd, name);
    return result < 0 && errno == EBADF ? removexattr(handle_path(fd).text, name) : result;
}

ssize_t os_xattr_list_at(int dirfd, const char *entry, char *names, size_t size)
{
    return llistxattr(entry_path(dirfd, entry).text, names, size);
}

ssize_t os_xattr_get_at(int dirfd, const char *entry, const char *name, void *value, size_t size)
{
    return lgetxattr(entry_path(dirfd, entry).text, name, value, size);
}

static bool in_user_namespace;

/* The first one maps all users to themselves. */
static void look_at_user_map(void)
{
    char map[128];
    unsigned inside = 0;
    unsigned outside = 0;
    unsigned count = 0;
    if (fd_read_small(AT_FDCWD, "/proc/self/uid_map", map, sizeof map) > 0 &&
        sscanf(map, "%u %u %u", &inside, &outside, &count) == 3)
        in_user_namespace = inside != 0 || outside != 0 || count != UINT32_MAX;
}

/* A lookup leaves the spelling that was asked for in the kernel's memory. */
bool os_is_spelled(int dirfd, const char *name)
{
    (void) dirfd;
    (void) name;
    return false;
}

bool os_in_user_namespace(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void) pthread_once(&once, look_at_user_map);
    return in_user_namespace;
}

/* POSIX ACLs are extended attributes. */
bool os_has_acl_at(int dirfd, const char *entry)
{
    (void) dirfd;
    (void) entry;
    return false;
}

int os_remove_acl(int fd)
{
    (void) fd;
    return 0;
}

/* FIEMAP would tell, for the price of writing out the file. */
bool os_private_bytes(int dirfd, const char *name, uint64_t *out_bytes)
{
    (void) dirfd;
    (void) name;
    (void) out_bytes;
    return false;
}
