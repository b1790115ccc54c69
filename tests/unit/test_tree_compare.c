/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

/* One change to a clone, and what the comparison has to say about it. */
struct mutation {
    const char *expected;
    int (*apply)(int dirfd);
};

static int append_byte(int dirfd)
{
    owned(fd_close) int fd = openat(dirfd, "big", O_WRONLY | O_APPEND);
    return write(fd, "x", 1) == 1 ? 0 : -1;
}

/* Keeps size and time, so that only the content can tell. */
static int change_byte(int dirfd)
{
    struct stat status;
    owned(fd_close) int fd = openat(dirfd, "big", O_WRONLY);
    if (fstat(fd, &status) != 0 || pwrite(fd, "x", 1, 1000000) != 1)
        return -1;
    return futimens(fd, (struct timespec[]){status.st_atim, status.st_mtim});
}

static int fill_hole(int dirfd)
{
    struct stat status;
    owned(fd_close) int fd = openat(dirfd, "sparse", O_WRONLY);
    if (fstat(fd, &status) != 0 || pwrite(fd, "", 1, 0) != 1 || fsync(fd) != 0)
        return -1;
    return futimens(fd, (struct timespec[]){status.st_atim, status.st_mtim});
}

static int change_mode(int dirfd)
{
    return fchmodat(dirfd, "small", 0600, 0);
}

static int drop_set_uid(int dirfd)
{
    return fchmodat(dirfd, "set-uid", 0755, 0);
}

static int change_owner(int dirfd)
{
    return fchownat(dirfd, "link", 1, 1, AT_SYMLINK_NOFOLLOW);
}

static int change_nanosecond(int dirfd)
{
    struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {0}};
    struct stat status;
    if (fstatat(dirfd, "dangling", &status, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    times[1] = status.st_mtim;
    times[1].tv_nsec++;
    return utimensat(dirfd, "dangling", times, AT_SYMLINK_NOFOLLOW);
}

static int change_dir_time(int dirfd)
{
    return utimensat(dirfd, "closed", (struct timespec[2]){{.tv_sec = 1}, {.tv_sec = 1}}, 0);
}

static int change_root_mode(int dirfd)
{
    return fchmod(dirfd, 0700);
}

static int change_xattr(int dirfd)
{
    owned(fd_close) int fd = openat(dirfd, "xattrs", O_RDONLY);
    return fsetxattr(fd, "trusted.binary", "\0\1\2\3", 4, XATTR_REPLACE);
}

static int add_xattr(int dirfd)
{
    owned(fd_close) int fd = openat(dirfd, "many-xattrs", O_RDONLY);
    return fsetxattr(fd, "user.more", "1", 1, XATTR_CREATE);
}

static int drop_capability(int dirfd)
{
    owned(fd_close) int fd = openat(dirfd, "capable", O_RDONLY);
    return fremovexattr(fd, "security.capability");
}

static int drop_default_acl(int dirfd)
{
    owned(fd_close) int fd = openat(dirfd, "default-acl", O_RDONLY);
    return fremovexattr(fd, "system.posix_acl_default");
}

/* Gives what is now path the owner, mode and times that were there before. */
static int restore(int dirfd, const char *path, const struct stat *before)
{
    struct timespec times[2] = {before->st_atim, before->st_mtim};
    if (fchownat(dirfd, path, before->st_uid, before->st_gid, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (!S_ISLNK(before->st_mode) && fchmodat(dirfd, path, before->st_mode & 07777, 0) != 0)
        return -1;
    return utimensat(dirfd, path, times, AT_SYMLINK_NOFOLLOW);
}

static int replace_by_node(int dirfd, const char *name, mode_t type, dev_t device)
{
    struct stat before;
    if (fstatat(dirfd, name, &before, AT_SYMLINK_NOFOLLOW) != 0 || unlinkat(dirfd, name, 0) != 0 ||
        mknodat(dirfd, name, type | 0600, device) != 0)
        return -1;
    return restore(dirfd, name, &before);
}

static int change_type(int dirfd)
{
    return replace_by_node(dirfd, "empty", S_IFIFO, 0);
}

static int change_device(int dirfd)
{
    return replace_by_node(dirfd, "null", S_IFCHR, makedev(1, 5));
}

static int change_link_target(int dirfd)
{
    struct stat before;
    if (fstatat(dirfd, "dangling", &before, AT_SYMLINK_NOFOLLOW) != 0 ||
        unlinkat(dirfd, "dangling", 0) != 0 || symlinkat("/no/such/targeT", dirfd, "dangling") != 0)
        return -1;
    return restore(dirfd, "dangling", &before);
}

/* One name of a group becomes a file of its own, equal in all else. */
static int break_hard_link(int dirfd)
{
    struct stat file;
    struct stat dir;
    if (fstatat(dirfd, "group/two", &file, 0) != 0 || fstatat(dirfd, "group", &dir, 0) != 0 ||
        unlinkat(dirfd, "group/two", 0) != 0)
        return -1;
    tree_sample_file(dirfd, "group/two", "three names");
    return restore(dirfd, "group/two", &file) == 0 ? restore(dirfd, "group", &dir) : -1;
}

static int add_file(int dirfd)
{
    struct stat dir;
    if (fstatat(dirfd, "empty-dir", &dir, 0) != 0)
        return -1;
    tree_sample_file(dirfd, "empty-dir/added", "");
    return restore(dirfd, "empty-dir", &dir);
}

static int remove_file(int dirfd)
{
    struct stat dir;
    if (fstatat(dirfd, "closed", &dir, 0) != 0 || unlinkat(dirfd, "closed/inside", 0) != 0)
        return -1;
    return restore(dirfd, "closed", &dir);
}

static int drop_flag(int dirfd)
{
    int flags = 0;
    owned(fd_close) int fd = openat(dirfd, "immutable", O_RDONLY);
    return ioctl(fd, FS_IOC_SETFLAGS, &flags);
}

static const struct mutation mutations[] = {
    {"big: size", append_byte},
    {"big: content", change_byte},
    {"sparse: holes", fill_hole},
    {"small: mode", change_mode},
    {"set-uid: mode", drop_set_uid},
    {"link: owner", change_owner},
    {"dangling: modification time", change_nanosecond},
    {"closed: modification time", change_dir_time},
    {".: mode", change_root_mode},
    {"xattrs: extended attribute trusted.binary", change_xattr},
    {"many-xattrs: extended attribute user.more", add_xattr},
    {"capable: extended attribute security.capability", drop_capability},
    {"default-acl: extended attribute system.posix_acl_default", drop_default_acl},
    {"empty: type", change_type},
    {"null: device number", change_device},
    {"dangling: target of the link", change_link_target},
    {"hard links", break_hard_link}, /* any of the three names may be met first */
    {"immutable: inode flags", drop_flag},
    {"empty-dir/added: is in the second tree only", add_file},
    {"closed/inside: is in the first tree only", remove_file},
};

static bool is_possible(const struct volume_fixture *fixture, const char *difference)
{
    return (volume_has(fixture->kind, VOLUME_HOLES) || !strstr(difference, ": holes")) &&
           (volume_has(fixture->kind, VOLUME_XATTRS) || !strstr(difference, "extended attribute"));
}

static void make_pair(const struct volume_fixture *fixture)
{
    struct error error = {0};
    struct tree_clone_options options = {0};
    struct tree_clone_result result;
    if (tree_clone(fixture->fd, "origin", fixture->fd, "clone", &options, &result, &error) != 0)
        fail_msg("%s", error.message);
}

static char *difference_of(const struct volume_fixture *fixture, const char *a, const char *b)
{
    struct error error = {0};
    char *difference = NULL;
    if (tree_compare(fixture->fd, a, fixture->fd, b, &difference, &error) < 0)
        fail_msg("%s", error.message);
    return difference;
}

static void every_kind_of_difference_is_found(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_make(fixture->fd, "origin");
    for (size_t i = 0; i < sizeof mutations / sizeof mutations[0]; i++) {
        if (!is_possible(fixture, mutations[i].expected))
            continue;
        make_pair(fixture);
        owned(mem_free) char *before = difference_of(fixture, "origin", "clone");
        assert_null(before);
        owned(fd_close) int clone_fd = fd_open_dir(fixture->fd, "clone");
        if (mutations[i].apply(clone_fd) != 0)
            fail_msg("%s: %s", mutations[i].expected, strerror(errno));
        owned(mem_free) char *after = difference_of(fixture, "origin", "clone");
        if (!after || !strstr(after, mutations[i].expected))
            fail_msg("%s expected, got %s", mutations[i].expected, after ? after : "no difference");
        assert_int_equal(tree_remove(fixture->fd, "clone", NULL, NULL), 0);
    }
}

static void access_times_make_no_difference(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_make(fixture->fd, "origin");
    make_pair(fixture);
    struct timespec times[2] = {{.tv_sec = 5}, {.tv_nsec = UTIME_OMIT}};
    assert_int_equal(utimensat(fixture->fd, "clone/small", times, 0), 0);
    owned(mem_free) char *difference = difference_of(fixture, "origin", "clone");
    assert_null(difference);
}

static void a_missing_tree_is_an_error(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    char *difference = NULL;
    tree_sample_dir(fixture->fd, "origin");
    assert_int_equal(tree_compare(fixture->fd, "origin", fixture->fd, "missing", &difference, NULL),
                     ERROR_IO);
    assert_null(difference);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(every_kind_of_difference_is_found),
        VOLUME_TEST(access_times_make_no_difference),
        VOLUME_TEST(a_missing_tree_is_an_error),
    };
    return cmocka_run_group_tests(tests, volume_fixture_xfs, volume_fixture_unmount);
}
