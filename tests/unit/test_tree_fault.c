/* SPDX-License-Identifier: Apache-2.0 */
/* A clone that fails in the middle. Faults are read once, so each has a program run of its own. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tests/unit/platform.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

/* Many directories and hard links, so that several threads are in the middle of something. */
static void make_origin(int dirfd)
{
    tree_sample_dir(dirfd, "origin");
    for (int dir = 0; dir < 60; dir++) {
        owned(mem_free) char *path = mem_printf("origin/dir-%d", dir);
        tree_sample_dir(dirfd, path);
        for (int file = 0; file < 20; file++) {
            owned(mem_free) char *file_path = mem_printf("%s/%d", path, file);
            tree_sample_file(dirfd, file_path, "x");
        }
    }
}

static void a_full_volume_fails_the_clone_and_names_the_file(void **state)
{
#ifndef CLONEFS_FAULTS
    (void) state;
    print_message("skip: built without fault points\n");
    skip();
#else
    const struct scratch *scratch = *state;
    struct error error = {0};
    struct tree_clone_options options = {.threads = 4};
    struct tree_clone_result result;
    make_origin(scratch->fd);
    assert_int_equal(
        tree_clone(scratch->fd, "origin", scratch->fd, "clone", &options, &result, &error),
        ERROR_NO_SPACE);
    assert_int_equal(error.sys, ENOSPC);
    assert_int_equal(strncmp(error.message, "dir-", 4), 0);
    assert_non_null(strstr(error.message, ": cannot clone: No space left on device"));
    assert_int_equal(tree_remove(scratch->fd, "clone", NULL, &error), 0);
#endif
}

/* A file that cannot be cloned is no reason to copy the others. */
static void one_refusal_is_about_one_file(void **state)
{
    const struct volume_fixture *fixture = volume_fixture_with(state, VOLUME_REFLINKS);
#ifndef CLONEFS_FAULTS
    (void) fixture;
    skip();
#else
    platform_needs_linux("there the clone is made by another call");
    enum { FILES = 100 };
    struct error error = {0};
    struct tree_clone_options options = {.threads = 1};
    struct tree_clone_result result = {0};
    tree_sample_dir(fixture->fd, "origin");
    for (int i = 0; i < FILES; i++) {
        char path[32];
        (void) snprintf(path, sizeof path, "origin/%d", i);
        tree_sample_file(fixture->fd, path, "xy");
    }
    if (tree_clone(fixture->fd, "origin", fixture->fd, "clone", &options, &result, &error) != 0)
        fail_msg("%s", error.message);
    assert_int_equal(result.bytes_copied, 2);
    assert_int_equal(result.bytes_shared, 2 * (FILES - 1));
#endif
}

static int set_up(void **state)
{
    static struct scratch scratch;
    scratch_make(&scratch);
    *state = &scratch;
    return 0;
}

static int tear_down(void **state)
{
    scratch_remove(*state);
    return 0;
}

int main(void)
{
    /* Counted from the start of the program. */
    (void) setenv("CLONEFS_FAULT", "tree.clone.share@1=95,tree.clone.file@1000=28", 1);
    const struct CMUnitTest on_xfs[] = {VOLUME_TEST(one_refusal_is_about_one_file)};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_full_volume_fails_the_clone_and_names_the_file, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests_name("clone on XFS", on_xfs, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests(tests, NULL, NULL);
}
