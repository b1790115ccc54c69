/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/platform.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

static bool has(const struct volume_fixture *fixture, enum volume_feature feature)
{
    return volume_has(fixture->kind, feature);
}

static struct tree_clone_result clone_with(int src_fd, const char *src, int dst_fd, const char *dst,
                                           unsigned threads)
{
    struct error error = {0};
    struct tree_clone_result result = {0};
    struct tree_clone_options options = {.threads = threads};
    if (tree_clone(src_fd, src, dst_fd, dst, &options, &result, &error) != 0)
        fail_msg("clone of %s: %s", src, error.message);
    return result;
}

static int clone_code(int dirfd, const char *src, const char *dst, struct error *error)
{
    struct tree_clone_options options = {0};
    struct tree_clone_result result;
    memset(error, 0, sizeof *error);
    return tree_clone(dirfd, src, dirfd, dst, &options, &result, error);
}

static void assert_equal_trees(int a_fd, const char *a, int b_fd, const char *b)
{
    struct error error = {0};
    owned(mem_free) char *difference = NULL;
    int result = tree_compare(a_fd, a, b_fd, b, &difference, &error);
    if (result != 0)
        fail_msg("%s and %s: %s", a, b, result > 0 ? difference : error.message);
}

static struct stat stat_of(int dirfd, const char *path)
{
    struct stat status;
    if (fstatat(dirfd, path, &status, AT_SYMLINK_NOFOLLOW) != 0)
        fail_msg("%s: %s", path, strerror(errno));
    return status;
}

static void a_clone_equals_its_origin(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_make(fixture->fd, "origin");
    struct tree_clone_result result = clone_with(fixture->fd, "origin", fixture->fd, "clone", 0);
    assert_equal_trees(fixture->fd, "origin", fixture->fd, "clone");
    assert_equal_trees(fixture->fd, "clone", fixture->fd, "origin");
    assert_true(result.entries > 40);
    if (has(fixture, VOLUME_REFLINKS))
        assert_int_equal(result.bytes_copied, 0);
    else
        assert_int_equal(result.bytes_shared, 0);
}

/* What tree_compare says, said again without any of our code. */
static void a_clone_keeps_attributes_that_the_kernel_shows(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_make(fixture->fd, "origin");
    (void) clone_with(fixture->fd, "origin", fixture->fd, "clone", 0);
    owned(fd_close) int clone_fd = fd_open_dir(fixture->fd, "clone");

    assert_int_equal(stat_of(clone_fd, "set-both").st_mode & 07777, 06711);
    assert_int_equal(stat_of(clone_fd, "set-both").st_uid, 1000);
    assert_int_equal(stat_of(clone_fd, "closed").st_mode & 07777, 0555);
    assert_int_equal(stat_of(clone_fd, "group").st_mode & 07777, 02775);
    assert_int_equal(stat_of(clone_fd, "group").st_gid, 2000);
    assert_int_equal(stat_of(clone_fd, "one").st_nlink, 3);
    assert_int_equal(stat_of(clone_fd, "one").st_ino, stat_of(clone_fd, "group/two").st_ino);
    assert_int_equal(stat_of(clone_fd, "fifo").st_nlink, 2);
    assert_int_equal(stat_of(clone_fd, "link").st_mtim.tv_sec, 1234567891);
    assert_int_equal(stat_of(clone_fd, "link").st_mtim.tv_nsec, 123456788);
    assert_int_equal(stat_of(clone_fd, "link").st_atim.tv_sec, 1234567898);
    assert_int_equal(stat_of(clone_fd, "null").st_rdev,
                     stat_of(fixture->fd, "origin/null").st_rdev);
    assert_true(S_ISSOCK(stat_of(clone_fd, "socket").st_mode));
    assert_true(stat_of(clone_fd, "sparse").st_blocks * 512 < 1 << 20);
}

static void a_clone_keeps_holes(void **state)
{
    const struct volume_fixture *fixture = volume_fixture_with(state, VOLUME_HOLES);
    tree_sample_make(fixture->fd, "origin");
    (void) clone_with(fixture->fd, "origin", fixture->fd, "clone", 0);
    owned(fd_close) int sparse_fd = openat(fixture->fd, "clone/sparse", O_RDONLY);
    assert_int_equal(lseek(sparse_fd, 0, SEEK_DATA), 1 << 20);
    assert_int_equal(lseek(sparse_fd, 2 << 20, SEEK_DATA), 3 << 20);
}

static void a_clone_keeps_extended_attributes(void **state)
{
    const struct volume_fixture *fixture = volume_fixture_with(state, VOLUME_XATTRS);
    unsigned char expected[32];
    unsigned char found[64];
    tree_sample_make(fixture->fd, "origin");
    (void) clone_with(fixture->fd, "origin", fixture->fd, "clone", 0);
    owned(fd_close) int clone_fd = fd_open_dir(fixture->fd, "clone");
    owned(fd_close) int capable_fd = openat(clone_fd, "capable", O_RDONLY);
    size_t size = tree_sample_capability(expected);
    assert_int_equal(fgetxattr(capable_fd, "security.capability", found, sizeof found), size);
    assert_memory_equal(found, expected, size);
    owned(mem_free) char *link_path = mem_printf("%s/clone/link", fixture->path);
    if (lgetxattr(link_path, "trusted.of-the-link", found, sizeof found) < 0)
        assert_int_equal(errno, EOPNOTSUPP);
}

/* True if every extent of the file is shared. */
static bool is_shared(int dirfd, const char *path)
{
    enum { EXTENTS = 64 };
    owned(fd_close) int fd = openat(dirfd, path, O_RDONLY);
    owned(mem_free) struct fiemap *map =
        mem_alloc(sizeof *map + EXTENTS * sizeof(struct fiemap_extent));
    map->fm_length = FIEMAP_MAX_OFFSET;
    map->fm_flags = FIEMAP_FLAG_SYNC;
    map->fm_extent_count = EXTENTS;
    assert_int_equal(ioctl(fd, FS_IOC_FIEMAP, map), 0);
    bool shared = map->fm_mapped_extents > 0;
    for (unsigned i = 0; i < map->fm_mapped_extents; i++)
        shared = shared && (map->fm_extents[i].fe_flags & FIEMAP_EXTENT_SHARED);
    return shared;
}

static void data_is_shared_until_it_is_written(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    char found[8] = "";
    tree_sample_make(fixture->fd, "origin");
    struct tree_clone_result result = clone_with(fixture->fd, "origin", fixture->fd, "clone", 0);
    if (has(fixture, VOLUME_REFLINKS))
        assert_true(result.bytes_shared > 2 << 20);
    if (has(fixture, VOLUME_REFLINKS) && has(fixture, VOLUME_EXTENTS)) {
        assert_true(is_shared(fixture->fd, "origin/big"));
        assert_true(is_shared(fixture->fd, "clone/big"));
    }
    owned(fd_close) int clone_fd = openat(fixture->fd, "clone/big", O_RDWR);
    assert_int_equal(pwrite(clone_fd, "changed", 7, 100), 7);
    assert_int_equal(fsync(clone_fd), 0);
    owned(fd_close) int origin_fd = openat(fixture->fd, "origin/big", O_RDONLY);
    assert_int_equal(pread(origin_fd, found, 7, 100), 7);
    assert_string_equal(found, "AAAAAAA");
}

static void a_clone_of_a_clone_is_equal_too(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_make(fixture->fd, "origin");
    (void) clone_with(fixture->fd, "origin", fixture->fd, "clone", 0);
    (void) clone_with(fixture->fd, "clone", fixture->fd, "second", 1);
    assert_equal_trees(fixture->fd, "origin", fixture->fd, "second");
}

static void a_clone_does_not_depend_on_the_umask_nor_on_its_parent(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    unsigned char acl[64];
    size_t acl_size = tree_sample_acl(acl);
    tree_sample_make(fixture->fd, "origin");
    tree_sample_dir(fixture->fd, "parent");
    owned(fd_close) int parent_fd = fd_open_dir(fixture->fd, "parent");
    assert_int_equal(fchown(parent_fd, 5, 6), 0);
    assert_int_equal(fchmod(parent_fd, 02777), 0);
    if (!platform_is_darwin()) /* which has no such ACL */
        (void) fsetxattr(parent_fd, "system.posix_acl_default", acl, acl_size, 0);
    mode_t old_mask = umask(077);
    (void) clone_with(fixture->fd, "origin", parent_fd, "clone", 0);
    (void) umask(old_mask);
    assert_equal_trees(fixture->fd, "origin", parent_fd, "clone");
}

static void a_taken_name_is_refused(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct error error;
    tree_sample_dir(fixture->fd, "origin");
    tree_sample_file(fixture->fd, "taken", "x");
    assert_int_equal(clone_code(fixture->fd, "origin", "taken", &error), ERROR_EXISTS);
    assert_int_equal(clone_code(fixture->fd, "taken", "new", &error), ERROR_IO);
    assert_int_equal(clone_code(fixture->fd, "missing", "new", &error), ERROR_IO);
}

static void a_mount_inside_is_refused_and_named(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct error error;
    tree_sample_dir(fixture->fd, "origin");
    tree_sample_dir(fixture->fd, "origin/below");
    tree_sample_file(fixture->fd, "origin/file", "x");
    tree_sample_file(fixture->fd, "other", "y");
    owned(mem_free) char *below = mem_printf("%s/origin/below", fixture->path);
    owned(mem_free) char *file = mem_printf("%s/origin/file", fixture->path);
    owned(mem_free) char *other = mem_printf("%s/other", fixture->path);

    assert_int_equal(mount("tmpfs", below, "tmpfs", 0, NULL), 0);
    assert_int_equal(clone_code(fixture->fd, "origin", "first", &error), ERROR_PRECONDITION);
    assert_string_equal(error.message, "below: something is mounted here");
    assert_int_equal(umount(below), 0);

    assert_int_equal(mount(other, file, NULL, MS_BIND, NULL), 0);
    assert_int_equal(clone_code(fixture->fd, "origin", "second", &error), ERROR_PRECONDITION);
    assert_string_equal(error.message, "file: something is mounted here");
    assert_int_equal(umount(file), 0);
}

static void a_cancelled_clone_stops(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct error error = {0};
    struct cancel cancel = {0};
    struct tree_clone_options options = {.cancel = &cancel};
    struct tree_clone_result result;
    tree_sample_make(fixture->fd, "origin");
    cancel_request(&cancel);
    assert_int_equal(
        tree_clone(fixture->fd, "origin", fixture->fd, "clone", &options, &result, &error),
        ERROR_CANCELLED);
}

static void the_time_of_a_clone_is_not_before_any_of_its_inodes(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct error error = {0};
    struct tree_usage usage = {0};
    tree_sample_make(fixture->fd, "origin");
    struct tree_clone_result result = clone_with(fixture->fd, "origin", fixture->fd, "clone", 0);
    assert_int_equal(tree_measure(fixture->fd, "clone", &result.time, NULL, &usage, &error), 0);
    assert_int_equal(usage.inodes, 0);
}

static void another_volume_gets_a_copy(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    char *other = volume_mount("ext4", 320);
    if (!other)
        skip();
    owned(fd_close) int other_fd = fd_open_dir(AT_FDCWD, other);
    tree_sample_make(fixture->fd, "origin");
    struct tree_clone_result result = clone_with(fixture->fd, "origin", other_fd, "clone", 0);
    assert_int_equal(result.bytes_shared, 0);
    assert_true(result.bytes_copied > 2 << 20);
    assert_true(result.bytes_copied < 4 << 20);
    assert_equal_trees(fixture->fd, "origin", other_fd, "clone");
    fd_close(&other_fd);
    volume_unmount(other);
}

/* As native snapshotters meet it: many names of few inodes in many directories. */
static void threads_agree_on_hard_links(void **state)
{
    enum { DIRS = 40, FILES = 50 };
    const struct volume_fixture *fixture = volume_fixture(state);
    char first[64];
    char path[64];
    tree_sample_dir(fixture->fd, "origin");
    for (int dir = 0; dir < DIRS; dir++) {
        (void) snprintf(path, sizeof path, "origin/%d", dir);
        tree_sample_dir(fixture->fd, path);
        for (int file = 0; file < FILES; file++) {
            (void) snprintf(first, sizeof first, "origin/0/%d", file);
            (void) snprintf(path, sizeof path, "origin/%d/%d", dir, file);
            if (dir == 0)
                tree_sample_file(fixture->fd, path, path);
            else
                assert_int_equal(linkat(fixture->fd, first, fixture->fd, path, 0), 0);
        }
    }
    struct tree_clone_result result = clone_with(fixture->fd, "origin", fixture->fd, "clone", 8);
    assert_int_equal(result.entries, 1 + DIRS + DIRS * FILES);
    assert_int_equal(stat_of(fixture->fd, "clone/7/7").st_nlink, DIRS);
    assert_equal_trees(fixture->fd, "origin", fixture->fd, "clone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(a_clone_equals_its_origin),
        VOLUME_TEST(a_clone_keeps_attributes_that_the_kernel_shows),
        VOLUME_TEST(a_clone_keeps_holes),
        VOLUME_TEST(a_clone_keeps_extended_attributes),
        VOLUME_TEST(data_is_shared_until_it_is_written),
        VOLUME_TEST(a_clone_of_a_clone_is_equal_too),
        VOLUME_TEST(a_clone_does_not_depend_on_the_umask_nor_on_its_parent),
        VOLUME_TEST(a_taken_name_is_refused),
        VOLUME_TEST(a_mount_inside_is_refused_and_named),
        VOLUME_TEST(a_cancelled_clone_stops),
        VOLUME_TEST(the_time_of_a_clone_is_not_before_any_of_its_inodes),
        VOLUME_TEST(another_volume_gets_a_copy),
        VOLUME_TEST(threads_agree_on_hard_links),
    };
    return cmocka_run_group_tests_name("clone on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("clone on Btrfs", tests, volume_fixture_btrfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("clone on ext4", tests, volume_fixture_ext4,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("clone on tmpfs", tests, volume_fixture_tmpfs,
                                       volume_fixture_unmount);
}
