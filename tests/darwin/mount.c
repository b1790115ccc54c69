/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "tests/darwin/internal.h"

/* sys/mount.h of macOS */
enum { MNT_RDONLY = 0x1, MNT_NOEXEC = 0x4, MNT_NOSUID = 0x8, MNT_NODEV = 0x10, MNT_LOCAL = 0x1000 };

/* A volume that can clone is an APFS, others are what they are. */
static const char *type_name(long type)
{
    enum { XFS = 0x58465342 };
    return type == XFS || type == BTRFS_SUPER_MAGIC ? "apfs"
           : type == EXT4_SUPER_MAGIC               ? "ext4"
           : type == TMPFS_MAGIC                    ? "tmpfs"
                                                    : "other";
}

static uint32_t flags_of(unsigned long flags)
{
    return MNT_LOCAL | (flags & ST_RDONLY ? MNT_RDONLY : 0U) |
           (flags & ST_NOEXEC ? MNT_NOEXEC : 0U) | (flags & ST_NOSUID ? MNT_NOSUID : 0U) |
           (flags & ST_NODEV ? MNT_NODEV : 0U);
}

/* The line of a mount: its number, that of its parent, the device, the root in it, where it is. */
static void find_mount(uint64_t number, struct darwin_statfs *out)
{
    char line[8192];
    FILE *file = fopen("/proc/self/mountinfo", "re");
    while (file && fgets(line, sizeof line, file)) {
        unsigned long long found = 0;
        if (sscanf(line, "%llu %*s %*s %*s %1023s", &found, out->f_mntonname) == 2 &&
            found == number)
            break;
        out->f_mntonname[0] = '\0';
    }
    if (file)
        (void) fclose(file);
    (void) snprintf(out->f_mntfromname, sizeof out->f_mntfromname, "/dev/disk%llu",
                    (unsigned long long) number);
}

int darwin_fstatfs(int fd, struct darwin_statfs *out)
{
    struct statfs raw;
    struct inode inode;
    if (fstatfs(fd, &raw) != 0 || inode_read(fd, "", AT_EMPTY_PATH, &inode) != 0)
        return -1;
    *out = (struct darwin_statfs){
        .f_bsize = (uint32_t) raw.f_bsize,
        .f_iosize = (int32_t) raw.f_bsize,
        .f_blocks = raw.f_blocks,
        .f_bfree = raw.f_bfree,
        .f_bavail = raw.f_bavail,
        .f_files = raw.f_files,
        .f_ffree = raw.f_ffree,
        .f_fsid = {.val = {(int32_t) inode.mount, (int32_t) (inode.mount >> 32)}},
        .f_flags = flags_of((unsigned long) raw.f_flags),
    };
    (void) snprintf(out->f_fstypename, sizeof out->f_fstypename, "%s", type_name(raw.f_type));
    find_mount(inode.mount, out);
    return 0;
}

int darwin_statfs(const char *path, struct darwin_statfs *out)
{
    int fd = path_fits(path) ? open(path, O_PATH | O_CLOEXEC) : -1;
    if (fd < 0)
        return -1;
    int result = darwin_fstatfs(fd, out);
    int saved = errno;
    (void) close(fd);
    errno = saved;
    return result;
}
