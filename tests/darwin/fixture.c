/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/darwin/fixture.h"
#include "tests/darwin/losses.h"

const char fixture_acl[] = "!#acl 1\nuser:FFFFEEEE-DDDD-CCCC-BBBB-AAAA00003039:::allow:read\n";

int fixture_set_up(void **state)
{
    darwin_losses_reset();
    return volume_fixture_set_up(state);
}

int fixture_tear_down(void **state)
{
    darwin_losses_reset();
    return volume_fixture_tear_down(state);
}

int fixture_open(int dirfd, const char *path)
{
    int fd = openat(dirfd, path, O_RDONLY | O_SYMLINK | O_NONBLOCK | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

void fixture_make_file(int dirfd, const char *path, mode_t mode)
{
    owned(fd_close) int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, path, strlen(path)), strlen(path));
    assert_int_equal(fchmod(fd, mode), 0);
}

struct stat fixture_stat(int dirfd, const char *path)
{
    struct stat found;
    assert_int_equal(fstatat(dirfd, path, &found, AT_SYMLINK_NOFOLLOW), 0);
    return found;
}

void fixture_set_acl(int dirfd, const char *path)
{
    owned(fd_close) int fd = fixture_open(dirfd, path);
    acl_t acl = acl_from_text(fixture_acl);
    assert_non_null(acl);
    assert_int_equal(acl_set_fd_np(fd, acl, ACL_TYPE_EXTENDED), 0);
    acl_free(acl);
}

void fixture_set_flags(int dirfd, const char *path, uint32_t flags)
{
    owned(fd_close) int fd = fixture_open(dirfd, path);
    assert_int_equal(fchflags(fd, flags), 0);
}

void fixture_set_time(int dirfd, const char *path, long seconds)
{
    const struct timespec times[2] = {{seconds, 1}, {seconds, 2}};
    assert_int_equal(utimensat(dirfd, path, times, AT_SYMLINK_NOFOLLOW), 0);
}
