/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
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

int volume_flush_file(int fd)
{
    return fsync(fd);
}

int volume_flush_drive(int fd)
{
    (void) fd;
    return 0; /* fsync did */
}

bool volume_reserve(int fd, uint64_t bytes)
{
    struct stat status;
    return fstat(fd, &status) == 0 &&
           fallocate(fd, FALLOC_FL_KEEP_SIZE, status.st_size, (off_t) bytes) == 0;
}

/* EINVAL, ESPIPE and ENOSYS are no news of the disk. */
static int sync_range(int fd, uint64_t offset, uint64_t length, unsigned flags)
{
    if (sync_file_range(fd, (off_t) offset, (off_t) length, flags) == 0)
        return 0;
    return errno == EINVAL || errno == ESPIPE || errno == ENOSYS ? 0 : -1;
}

int volume_push(int fd, uint64_t offset, uint64_t length)
{
    return sync_range(fd, offset, length, SYNC_FILE_RANGE_WRITE);
}

int volume_push_wait(int fd, uint64_t offset, uint64_t length)
{
    return sync_range(fd, offset, length,
                      SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE |
                          SYNC_FILE_RANGE_WAIT_AFTER);
}

/* One call reads no more than the device takes at a time, which is 128 KiB or more, and forgets the
 * rest. */
void volume_prefetch(int fd, uint64_t offset, uint64_t length)
{
    const uint64_t step = 128 << 10;
    for (uint64_t done = 0; done < length; done += step) {
        uint64_t count = length - done < step ? length - done : step;
        (void) posix_fadvise(fd, (off_t) (offset + done), (off_t) count, POSIX_FADV_WILLNEED);
    }
}

void volume_forget_cached(int fd)
{
    (void) posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
}
