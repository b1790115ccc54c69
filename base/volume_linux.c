/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/volume.h"

/* Two mounts of one file system have one device number, but rename(2) refuses to cross them. */
static bool mount_id(int fd, struct statx *out)
{
    return statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, out) == 0;
}

bool volume_is_same(int a_fd, int b_fd)
{
    struct statx a;
    struct statx b;
    if (!mount_id(a_fd, &a) || !mount_id(b_fd, &b))
        return false;
    return a.stx_dev_major == b.stx_dev_major && a.stx_dev_minor == b.stx_dev_minor &&
           a.stx_mnt_id == b.stx_mnt_id;
}

int volume_flush(int fd)
{
    return syncfs(fd);
}

bool volume_reserve(int fd, uint64_t bytes)
{
    struct stat status;
    return fstat(fd, &status) == 0 &&
           fallocate(fd, FALLOC_FL_KEEP_SIZE, status.st_size, (off_t) bytes) == 0;
}
