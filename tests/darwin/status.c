/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>

#include "tests/darwin/internal.h"

static struct timespec to_timespec(struct statx_timestamp stamp)
{
    return (struct timespec){.tv_sec = stamp.tv_sec, .tv_nsec = stamp.tv_nsec};
}

static bool is_earlier(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Whoever sets the time of the last change to an earlier one moves the birth there too, which needs
 * no note unless the birth was set. */
static struct timespec read_birth(const struct proc_path *proc, const struct statx *raw)
{
    struct timespec birth = to_timespec(raw->stx_btime);
    struct timespec mtime = to_timespec(raw->stx_mtime);
    struct timespec kept;
    if (proc_get(proc, OWN_BIRTH, &kept, sizeof kept) == sizeof kept)
        birth = kept;
    return is_earlier(&mtime, &birth) ? mtime : birth;
}

int birth_set(int fd, const struct timespec *time)
{
    struct proc_path proc = proc_path(fd);
    return proc_set(&proc, OWN_BIRTH, time, sizeof *time, 0);
}

int inode_read(int dirfd, const char *path, int flags, struct inode *out)
{
    struct statx raw;
    if (statx(dirfd, path, flags | AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_BTIME | STATX_MNT_ID,
              &raw) != 0)
        return -1;
    struct proc_path proc = proc_path_at(dirfd, path, flags);
    int saved = errno;
    *out = (struct inode){
        .stat =
            {
                .st_dev = makedev(raw.stx_dev_major, raw.stx_dev_minor),
                .st_mode = (mode_t) raw.stx_mode,
                .st_nlink = (uint16_t) raw.stx_nlink,
                .st_ino = raw.stx_ino,
                .st_uid = raw.stx_uid,
                .st_gid = raw.stx_gid,
                .st_rdev = makedev(raw.stx_rdev_major, raw.stx_rdev_minor),
                .st_atimespec = to_timespec(raw.stx_atime),
                .st_mtimespec = to_timespec(raw.stx_mtime),
                .st_ctimespec = to_timespec(raw.stx_ctime),
                .st_birthtimespec = read_birth(&proc, &raw),
                .st_size = (off_t) raw.stx_size,
                .st_blocks = (blkcnt_t) raw.stx_blocks,
                .st_blksize = (blksize_t) raw.stx_blksize,
                .st_flags =
                    flags_read(&proc, raw.stx_mode, raw.stx_attributes, raw.stx_attributes_mask),
            },
        .mount = raw.stx_mnt_id,
        .mount_root = (raw.stx_attributes & STATX_ATTR_MOUNT_ROOT) != 0,
    };
    errno = saved;
    return 0;
}

int darwin_fstatat(int dirfd, const char *path, struct darwin_stat *out, int flags)
{
    struct inode found;
    if (!path_fits(path) || inode_read(dirfd, path, flags, &found) != 0)
        return -1;
    *out = found.stat;
    return 0;
}

int darwin_fstat(int fd, struct darwin_stat *out)
{
    return darwin_fstatat(fd, "", out, AT_EMPTY_PATH);
}

int darwin_stat(const char *path, struct darwin_stat *out)
{
    return darwin_fstatat(AT_FDCWD, path, out, 0);
}

int darwin_lstat(const char *path, struct darwin_stat *out)
{
    return darwin_fstatat(AT_FDCWD, path, out, AT_SYMLINK_NOFOLLOW);
}
