/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

static bool exists(int dirfd, const char *path)
{
    return faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void every_kind_of_entry_is_removed(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct error error = {0};
    tree_sample_make(fixture->fd, "tree");
    if (tree_remove(fixture->fd, "tree", NULL, &error) != 0)
        fail_msg("%s", error.message);
    assert_false(exists(fixture->fd, "tree"));
}

static void what_is_not_there_counts_as_removed(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    assert_int_equal(tree_remove(fixture->fd, "nothing", NULL, NULL), 0);
}

static void a_link_is_removed_and_not_followed(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_dir(fixture->fd, "kept");
    tree_sample_file(fixture->fd, "kept/file", "x");
    tree_sample_dir(fixture->fd, "tree");
    assert_int_equal(symlinkat("../kept", fixture->fd, "tree/link"), 0);
    assert_int_equal(symlinkat("kept", fixture->fd, "root"), 0);
    assert_int_equal(tree_remove(fixture->fd, "tree", NULL, NULL), 0);
    assert_int_equal(tree_remove(fixture->fd, "root", NULL, NULL), 0);
    assert_true(exists(fixture->fd, "kept/file"));
    assert_false(exists(fixture->fd, "root"));
}

static void immutable_flags_do_not_stop_it(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_dir(fixture->fd, "tree");
    tree_sample_dir(fixture->fd, "tree/empty");
    tree_sample_dir(fixture->fd, "tree/full");
    tree_sample_file(fixture->fd, "tree/full/file", "x");
    tree_sample_file(fixture->fd, "tree/full/log", "x");
    assert_int_equal(tree_sample_flags(fixture->fd, "tree/full/file", FS_IMMUTABLE_FL), 0);
    assert_int_equal(tree_sample_flags(fixture->fd, "tree/full/log", FS_APPEND_FL), 0);
    assert_int_equal(tree_sample_flags(fixture->fd, "tree/full", FS_APPEND_FL), 0);
    assert_int_equal(tree_sample_flags(fixture->fd, "tree/empty", FS_IMMUTABLE_FL), 0);
    assert_int_equal(tree_sample_flags(fixture->fd, "tree", FS_IMMUTABLE_FL), 0);
    assert_int_equal(tree_remove(fixture->fd, "tree", NULL, NULL), 0);
    assert_false(exists(fixture->fd, "tree"));
}

static void what_is_mounted_stays_and_all_else_goes(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct error error = {0};
    tree_sample_dir(fixture->fd, "tree");
    tree_sample_dir(fixture->fd, "tree/a");
    tree_sample_dir(fixture->fd, "tree/a/busy");
    tree_sample_file(fixture->fd, "tree/a/file", "x");
    tree_sample_file(fixture->fd, "tree/busy-file", "x");
    tree_sample_dir(fixture->fd, "tree/b");
    tree_sample_file(fixture->fd, "outside", "y");
    owned(mem_free) char *busy = mem_printf("%s/tree/a/busy", fixture->path);
    owned(mem_free) char *busy_file = mem_printf("%s/tree/busy-file", fixture->path);
    owned(mem_free) char *outside = mem_printf("%s/outside", fixture->path);
    assert_int_equal(mount("tmpfs", busy, "tmpfs", 0, NULL), 0);
    tree_sample_file(fixture->fd, "tree/a/busy/mounted", "x");
    assert_int_equal(mount(outside, busy_file, NULL, MS_BIND, NULL), 0);

    assert_int_equal(tree_remove(fixture->fd, "tree", NULL, &error), ERROR_BUSY);
    assert_non_null(strstr(error.message, "busy"));
    assert_true(exists(fixture->fd, "tree/a/busy/mounted"));
    assert_true(exists(fixture->fd, "tree/busy-file"));
    assert_false(exists(fixture->fd, "tree/a/file"));
    assert_false(exists(fixture->fd, "tree/b"));

    assert_int_equal(umount(busy), 0);
    assert_int_equal(umount(busy_file), 0);
    assert_int_equal(tree_remove(fixture->fd, "tree", NULL, &error), 0);
    assert_false(exists(fixture->fd, "tree"));
    assert_true(exists(fixture->fd, "outside"));
}

static void a_tree_that_is_a_mount_point_is_busy(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_dir(fixture->fd, "tree");
    owned(mem_free) char *path = mem_printf("%s/tree", fixture->path);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
    tree_sample_file(fixture->fd, "tree/mounted", "x");
    assert_int_equal(tree_remove(fixture->fd, "tree", NULL, NULL), ERROR_BUSY);
    assert_true(exists(fixture->fd, "tree/mounted"));
    assert_int_equal(umount(path), 0);
}

static void a_cancelled_removal_can_be_repeated(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct cancel cancel = {0};
    tree_sample_make(fixture->fd, "tree");
    cancel_request(&cancel);
    assert_int_equal(tree_remove(fixture->fd, "tree", &cancel, NULL), ERROR_CANCELLED);
    assert_true(exists(fixture->fd, "tree/small"));
    assert_int_equal(tree_remove(fixture->fd, "tree", NULL, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(every_kind_of_entry_is_removed),
        VOLUME_TEST(what_is_not_there_counts_as_removed),
        VOLUME_TEST(a_link_is_removed_and_not_followed),
        VOLUME_TEST(immutable_flags_do_not_stop_it),
        VOLUME_TEST(what_is_mounted_stays_and_all_else_goes),
        VOLUME_TEST(a_tree_that_is_a_mount_point_is_busy),
        VOLUME_TEST(a_cancelled_removal_can_be_repeated),
    };
    return cmocka_run_group_tests_name("remove on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("remove on Btrfs", tests, volume_fixture_btrfs,
                                       volume_fixture_unmount);
}
