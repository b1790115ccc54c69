/* SPDX-License-Identifier: Apache-2.0 */
/* What a clone proves of two trees, and what it does not. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/difference_fixture.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"

/* A directory may change within the tick of the clock in which the clone ends; the file that is put
 * into it here is older. */
static void a_change_in_the_moment_of_the_clone_is_found(void **state)
{
    struct difference_trees trees = difference_start(state);
    struct stat changed;
    tree_sample_dir(trees.fd, "L/d");
    tree_sample_file(trees.fd, "L/d/file", "x");
    difference_clone_left(&trees);
    tree_sample_file(trees.fd, "R/d/new", "x");
    difference_wait_for_a_tick();
    assert_int_equal(unlinkat(trees.fd, "R/d/file", 0), 0);
    assert_int_equal(fstatat(trees.fd, "R/d", &changed, 0), 0);
    trees.cloned = (struct timestamp){.seconds = changed.st_ctim.tv_sec,
                                      .nanos = (int32_t) changed.st_ctim.tv_nsec};
    difference_assert(&trees, "d d/\nf d/.wh.file 0\nf d/new 1\n");
}

/* XFS does not change the change times of what is exchanged. */
static void exchanged_names_are_found(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/p");
    tree_sample_file(trees.fd, "L/p/a", "one");
    tree_sample_file(trees.fd, "L/p/b", "two");
    tree_sample_time(trees.fd, "L/p/a", 1000000000, 0);
    tree_sample_time(trees.fd, "L/p/b", 1000000000, 0);
    difference_clone_left(&trees);
    assert_int_equal(renameat2(trees.fd, "R/p/a", trees.fd, "R/p/b", RENAME_EXCHANGE), 0);
    difference_assert(&trees, "d p/\nf p/a 3\nf p/b 3\n");
}

static void a_renamed_directory_proves_nothing_of_what_is_in_it(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/d");
    tree_sample_dir(trees.fd, "L/d/below");
    tree_sample_dir(trees.fd, "L/e");
    tree_sample_dir(trees.fd, "L/e/below");
    tree_sample_file(trees.fd, "L/d/below/file", "one");
    tree_sample_file(trees.fd, "L/e/below/file", "two");
    tree_sample_time(trees.fd, "L/d/below/file", 1000000000, 0);
    tree_sample_time(trees.fd, "L/e/below/file", 1000000000, 0);
    tree_sample_file(trees.fd, "L/e/below/only-there", "x");
    difference_clone_left(&trees);
    assert_int_equal(renameat2(trees.fd, "R/d", trees.fd, "R/e", RENAME_EXCHANGE), 0);
    difference_assert(&trees, "d d/\nd d/below/\nf d/below/file 3\nf d/below/only-there 1\n"
                              "d e/\nd e/below/\nf e/below/file 3\nf e/below/.wh.only-there 0\n");
}

/* What is taken away from the left tree afterwards would be found by whoever looks there. */
static void what_the_clone_proves_is_not_looked_at_on_the_left(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/d");
    tree_sample_dir(trees.fd, "L/d/below");
    tree_sample_file(trees.fd, "L/d/below/file", "x");
    tree_sample_file(trees.fd, "L/d/below/changed", "x");
    difference_clone_left(&trees);
    tree_sample_file(trees.fd, "R/d/below/changed", "yy");
    assert_int_equal(unlinkat(trees.fd, "L/d/below/file", 0), 0);
    difference_assert_layer(trees.fd, "L", &trees.cloned, "d d/\nd d/below/\nf d/below/changed 2\n",
                            1);
    difference_assert_layer(trees.fd, "L", NULL,
                            "d d/\nd d/below/\nf d/below/changed 2\nf d/below/file 1\n", 2);
}

static bool sharing_shows(const struct volume_fixture *fixture)
{
    return volume_has(fixture->kind, VOLUME_REFLINKS) && volume_has(fixture->kind, VOLUME_EXTENTS);
}

/* As "touch -r" does after an edit. Without the time of the clone it stays containerd's rule. */
static void times_set_back_do_not_hide_a_change(void **state)
{
    struct difference_trees trees = difference_start(state);
    bool shares = sharing_shows(trees.fixture);
    tree_sample_file(trees.fd, "L/edited", "the same bytes");
    tree_sample_file(trees.fd, "L/touched", "the same bytes");
    tree_sample_time(trees.fd, "L/edited", 1000000000, 7);
    tree_sample_time(trees.fd, "L/touched", 1000000000, 7);
    difference_clone_left(&trees);
    tree_sample_file(trees.fd, "R/edited", "the SAME bytes");
    tree_sample_time(trees.fd, "R/edited", 1000000000, 7);
    tree_sample_time(trees.fd, "R/touched", 1000000000, 7);
    difference_assert_layer(trees.fd, "L", &trees.cloned, "f edited 14\n", shares ? 1 : 2);
    difference_assert_layer(trees.fd, "L", NULL, "", 0);
}

static void whole_seconds_are_decided_by_content(void **state)
{
    struct difference_trees trees = difference_start(state);
    bool shares = sharing_shows(trees.fixture);
    tree_sample_file(trees.fd, "L/same", "the same bytes");
    tree_sample_file(trees.fd, "L/other", "the same bytes");
    tree_sample_file(trees.fd, "L/empty", "");
    for (int i = 0; i < 3; i++)
        tree_sample_time(trees.fd, (const char *[]){"L/same", "L/other", "L/empty"}[i], 1000000000,
                         0);
    difference_clone_left(&trees);
    difference_assert_layer(trees.fd, "L", NULL, "", shares ? 0 : 2);
    difference_assert_layer(trees.fd, "L", &trees.cloned, "", 0);

    /* Not on disk yet: the extents are still those of the origin. */
    owned(fd_close) int fd = openat(trees.fd, "R/other", O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "O", 1, 3), 1);
    tree_sample_time(trees.fd, "R/other", 1000000000, 0);
    difference_assert_layer(trees.fd, "L", &trees.cloned, "f other 14\n", 1);
    difference_assert_layer(trees.fd, "L", NULL, "f other 14\n", shares ? 1 : 2);
}

#define TESTS                                                                                      \
    VOLUME_TEST(a_renamed_directory_proves_nothing_of_what_is_in_it),                              \
        VOLUME_TEST(a_change_in_the_moment_of_the_clone_is_found),                                 \
        VOLUME_TEST(exchanged_names_are_found),                                                    \
        VOLUME_TEST(what_the_clone_proves_is_not_looked_at_on_the_left),                           \
        VOLUME_TEST(times_set_back_do_not_hide_a_change),                                          \
        VOLUME_TEST(whole_seconds_are_decided_by_content)

int main(void)
{
    const struct CMUnitTest xfs_tests[] = {TESTS};
    const struct CMUnitTest tmpfs_tests[] = {TESTS};
    int failed = cmocka_run_group_tests(xfs_tests, volume_fixture_xfs, volume_fixture_unmount);
    return failed +
           cmocka_run_group_tests(tmpfs_tests, volume_fixture_tmpfs, volume_fixture_unmount);
}
