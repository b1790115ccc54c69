/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/volume.h"

/* Not in every SDK: fsync_volume_np of unistd.h, whole volume. */
enum { FLUSH_FULL = 1, FLUSH_WAIT = 2 };
int fsync_volume_np(int fd, int flags);

/* Equal device numbers prove nothing: the mount has to be the same. */
bool volume_is_same(int a_fd, int b_fd)
{
    struct statfs a;
    struct statfs b;
    return fstatfs(a_fd, &a) == 0 && fstatfs(b_fd, &b) == 0 &&
           memcmp(&a.f_fsid, &b.f_fsid, sizeof a.f_fsid) == 0 &&
           strcmp(a.f_mntonname, b.f_mntonname) == 0;
}

/* The file system does not know the call. Any other failure is told only once: to ask in another
 * way would be to be told that all is well. */
static bool is_unknown(void)
{
    return errno == ENOTTY || errno == ENOTSUP || errno == EOPNOTSUPP || errno == EINVAL;
}

int volume_flush(int fd)
{
    int result = fsync_volume_np(fd, FLUSH_FULL | FLUSH_WAIT);
    if (result == 0 || !is_unknown())
        return result;
    sync();
    return volume_flush_drive(fd);
}

int volume_flush_drive(int fd)
{
    int result = fcntl(fd, F_FULLFSYNC);
    return result == 0 || !is_unknown() ? result : fsync(fd);
}

int volume_flush_file(int fd)
{
    int result = fcntl(fd, F_BARRIERFSYNC);
    return result == 0 || !is_unknown() ? result : volume_flush_drive(fd);
}

/* The system writes by itself soon, and has no call for a part of a file. */
int volume_push(int fd, uint64_t offset, uint64_t length)
{
    (void) fd;
    (void) offset;
    (void) length;
    return 0;
}

int volume_push_wait(int fd, uint64_t offset, uint64_t length)
{
    return volume_push(fd, offset, length);
}

void volume_prefetch(int fd, uint64_t offset, uint64_t length)
{
    struct radvisory advice = {.ra_offset = (off_t) offset,
                               .ra_count = length < INT32_MAX ? (int) length : INT32_MAX};
    (void) fcntl(fd, F_RDADVISE, &advice);
}

void volume_forget_cached(int fd)
{
    (void) fcntl(fd, F_NOCACHE, 1);
}

bool volume_reserve(int fd, uint64_t bytes)
{
    fstore_t store = {
        .fst_flags = F_ALLOCATEALL, .fst_posmode = F_PEOFPOSMODE, .fst_length = (off_t) bytes};
    return fcntl(fd, F_PREALLOCATE, &store) == 0;
}
