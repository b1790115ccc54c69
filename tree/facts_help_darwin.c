/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/attr.h>
#include <sys/clonefile.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/facts_darwin.h"

/* Of the C library, in none of its headers: the working directory of this thread alone, -1 to have
 * that of the process again. */
int pthread_fchdir_np(int fd);

static const struct timespec old_time = {.tv_sec = 1000000000, .tv_nsec = 123456789};

bool fact_clone(int dirfd, uint32_t flags)
{
    return clonefileat(dirfd, "from", dirfd, "to", CLONE_NOFOLLOW | flags) == 0;
}

bool fact_look(int dirfd, const char *name, struct stat *out_stat)
{
    return fstatat(dirfd, name, out_stat, AT_SYMLINK_NOFOLLOW) == 0;
}

bool fact_look_at_both(int dirfd, const char *a, const char *b, struct stat out_stats[2])
{
    return fact_look(dirfd, a, &out_stats[0]) && fact_look(dirfd, b, &out_stats[1]);
}

bool fact_make_old(int dirfd, const char *name)
{
    const struct timespec times[2] = {old_time, old_time};
    return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) == 0;
}

bool fact_is_old(const struct timespec *time)
{
    return fact_same_time(time, &old_time);
}

bool fact_touch(int dirfd, const char *name)
{
    owned(fd_close) int fd = fact_make_file(dirfd, name);
    return fd >= 0;
}

bool fact_make_socket(int dirfd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    int length = snprintf(address.sun_path, sizeof address.sun_path, "%s", name);
    if (fd < 0 || length >= (int) sizeof address.sun_path || pthread_fchdir_np(dirfd) != 0)
        return false;
    int result = bind(fd, (const struct sockaddr *) &address, sizeof address);
    int reason = errno;
    (void) pthread_fchdir_np(-1);
    errno = reason;
    return result == 0;
}

/* Eight bytes that are aligned to four. */
struct number_answer {
    uint32_t length;
    uint8_t number[sizeof(uint64_t)];
};

bool fact_number(int fd, uint32_t attribute, uint64_t *out_number)
{
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT, .forkattr = attribute};
    struct number_answer answer = {0};
    if (fgetattrlist(fd, &wanted, &answer, sizeof answer, FSOPT_ATTR_CMN_EXTENDED) != 0)
        return false;
    memcpy(out_number, answer.number, sizeof *out_number);
    return fact_plainly(answer.length == sizeof answer);
}
