/* SPDX-License-Identifier: Apache-2.0 */
/* Several layers at once; one by one they are in test_diff_apply_*. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/platform.h"
#include "tests/unit/volume_fixture.h"
#include "tree/layer.h"
#include "tree/tree.h"

/* More than half of what a list can hold. */
enum { LONG_PATHS = 7000, LONG_PATH = 4000 };

static const char acl_name[] = "system.posix_acl_access";

static const struct volume_fixture *fixture;

static void touch(int dirfd, const char *name)
{
    owned(fd_close) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
}

static void note(struct path_list *list, const char *path, unsigned what)
{
    const struct path_item item = {.path = path, .what = what};
    assert_true(path_list_add(list, &item));
}

/* Paths that are nowhere. */
static void note_long_paths(struct path_list *list)
{
    char path[LONG_PATH + 16];
    memset(path, 'x', sizeof path);
    for (size_t i = 200; i < LONG_PATH; i += 200)
        path[i] = '/';
    for (int i = 0; i < LONG_PATHS; i++) {
        (void) snprintf(path + LONG_PATH - 8, 16, "%08d", i);
        note(list, path, LAYER_REMOVED);
    }
}

/* The layer that replaces one file by another, besides much else. */
static int capture(int dirfd, int tree_fd, const char *name, const char *removed, const char *made)
{
    const struct layer_options options = {0};
    const struct timestamp since = {0};
    struct layer_size size;
    owned(path_list_clear) struct path_list changes = PATH_LIST_NULL;
    assert_int_equal(unlinkat(tree_fd, removed, 0), 0);
    touch(tree_fd, made);
    note(&changes, "", 0);
    note(&changes, removed, LAYER_REMOVED);
    note(&changes, made, 0);
    note_long_paths(&changes);
    int fd = fd_make_dir(dirfd, name, 0700, NULL);
    assert_int_equal(layer_capture(tree_fd, fd, &changes, &since, &options, &size, NULL), 0);
    return fd;
}

static void layers_of_more_entries_than_a_list_can_hold_are_put_all_the_same(void **state)
{
    const struct volume_fixture *volume = volume_fixture(state);
    const struct layer_options options = {0};
    const struct tree_clone_options clone_options = {0};
    struct tree_clone_result cloned;
    struct timestamp time;
    struct error error = {0};
    owned(mem_free) char *difference = NULL;
    owned(fd_close) int tree_fd = fd_make_dir(volume->fd, "tree", 0755, NULL);
    touch(tree_fd, "first");
    assert_int_equal(
        tree_clone(volume->fd, "tree", volume->fd, "base", &clone_options, &cloned, NULL), 0);
    int fds[] = {capture(volume->fd, tree_fd, "one", "first", "second"),
                 capture(volume->fd, tree_fd, "two", "second", "third")};
    owned(fd_close) int base_fd = fd_open_dir(volume->fd, "base");
    if (layers_put(fds, 2, base_fd, &options, &time, &error) != 0)
        fail_msg("%s", error.message);
    if (tree_compare(volume->fd, "tree", volume->fd, "base", &difference, NULL) != 0)
        fail_msg("another tree: %s", difference);
    fd_close(&fds[0]);
    fd_close(&fds[1]);
}

/* A layer that removes or makes one name. */
static int capture_one(const char *layer, const char *path, bool removed)
{
    const struct layer_options options = {0};
    const struct timestamp since = {0};
    struct layer_size size;
    const struct volume_fixture *volume = fixture;
    owned(path_list_clear) struct path_list changes = PATH_LIST_NULL;
    owned(fd_close) int tree_fd = fd_open_dir(volume->fd, "tree");
    if (removed)
        assert_int_equal(tree_remove(tree_fd, path, NULL, NULL), 0);
    else
        fd_close(&(int){fd_make_dir(tree_fd, path, 0755, NULL)});
    note(&changes, "", 0);
    note(&changes, path, removed ? LAYER_REMOVED : 0);
    int fd = fd_make_dir(volume->fd, layer, 0700, NULL);
    assert_int_equal(layer_capture(tree_fd, fd, &changes, &since, &options, &size, NULL), 0);
    return fd;
}

static void a_name_comes_back_in_another_spelling(void **state)
{
    fixture = volume_fixture(state);
    const struct layer_options options = {0};
    const struct tree_clone_options clone_options = {0};
    struct tree_clone_result cloned;
    struct timestamp time;
    struct error error = {0};
    owned(mem_free) char *difference = NULL;
    owned(fd_close) int tree_fd = fd_make_dir(fixture->fd, "tree", 0755, NULL);
    owned(fd_close) int sub_fd = fd_make_dir(tree_fd, "folder", 0755, NULL);
    touch(sub_fd, "file");
    assert_int_equal(
        tree_clone(fixture->fd, "tree", fixture->fd, "base", &clone_options, &cloned, NULL), 0);
    int fds[] = {capture_one("one", "folder", true), capture_one("two", "FOLDER", false)};
    owned(fd_close) int base_fd = fd_open_dir(fixture->fd, "base");
    if (layers_put(fds, 2, base_fd, &options, &time, &error) != 0)
        fail_msg("%s", error.message);
    if (tree_compare(fixture->fd, "tree", fixture->fd, "base", &difference, NULL) != 0)
        fail_msg("another tree: %s", difference);
    fd_close(&fds[0]);
    fd_close(&fds[1]);
}

/* Lets user 7 in, beside what the mode says. */
static const uint16_t access_acl[] = {2,      0,      1,  7, 0xffff, 0xffff, 2,  7,
                                      7,      0,      4,  5, 0xffff, 0xffff, 16, 7,
                                      0xffff, 0xffff, 32, 5, 0xffff, 0xffff};

static void a_directory_loses_the_access_list_that_it_had_before(void **state)
{
    const struct volume_fixture *volume = volume_fixture(state);
    const struct layer_options options = {0};
    const struct tree_clone_options clone_options = {0};
    const struct timestamp since = {0};
    struct tree_clone_result cloned;
    struct timestamp time;
    struct layer_size size;
    owned(mem_free) char *difference = NULL;
    owned(path_list_clear) struct path_list changes = PATH_LIST_NULL;
    owned(fd_close) int tree_fd = fd_make_dir(volume->fd, "tree", 0755, NULL);
    owned(fd_close) int sub_fd = fd_make_dir(tree_fd, "folder", 0755, NULL);
    platform_needs_linux("access lists are no attributes there");
    assert_int_equal(fsetxattr(sub_fd, acl_name, access_acl, sizeof access_acl, 0), 0);
    assert_int_equal(
        tree_clone(volume->fd, "tree", volume->fd, "base", &clone_options, &cloned, NULL), 0);
    assert_int_equal(fremovexattr(sub_fd, acl_name), 0);
    note(&changes, "folder", 0);
    owned(fd_close) int layer_fd = fd_make_dir(volume->fd, "layer", 0700, NULL);
    assert_int_equal(layer_capture(tree_fd, layer_fd, &changes, &since, &options, &size, NULL), 0);
    owned(fd_close) int base_fd = fd_open_dir(volume->fd, "base");
    assert_int_equal(layers_put(&layer_fd, 1, base_fd, &options, &time, NULL), 0);
    if (tree_compare(volume->fd, "tree", volume->fd, "base", &difference, NULL) != 0)
        fail_msg("another tree: %s", difference);
}

int main(void)
{
    const struct CMUnitTest folding_tests[] = {
        VOLUME_TEST(a_name_comes_back_in_another_spelling),
    };
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(layers_of_more_entries_than_a_list_can_hold_are_put_all_the_same),
        VOLUME_TEST(a_directory_loses_the_access_list_that_it_had_before),
    };
    return cmocka_run_group_tests_name("XFS", tests, volume_fixture_xfs, volume_fixture_unmount) +
           cmocka_run_group_tests_name("a volume that folds names", folding_tests,
                                       volume_fixture_fold, volume_fixture_unmount);
}
