/* SPDX-License-Identifier: Apache-2.0 */
/* Trees that are very deep or very wide, with few descriptors. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

enum { DESCRIPTORS = 128 };

/* Clones, compares, measures and removes the tree "origin". */
static void assert_all_works(int dirfd, uint64_t entries)
{
    struct rlimit before;
    struct rlimit limit;
    struct error error = {0};
    struct tree_clone_options options = {.threads = 4};
    struct tree_clone_result result = {0};
    struct tree_usage usage = {0};
    owned(mem_free) char *difference = NULL;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = DESCRIPTORS;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);

    int cloned = tree_clone(dirfd, "origin", dirfd, "clone", &options, &result, &error);
    int compared =
        cloned != 0 ? 0 : tree_compare(dirfd, "origin", dirfd, "clone", &difference, &error);
    int measured = tree_measure(dirfd, "clone", NULL, NULL, &usage, &error);
    int removed = tree_remove(dirfd, "clone", NULL, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    if (cloned != 0 || compared < 0 || measured != 0 || removed != 0)
        fail_msg("%d %d %d %d: %s", cloned, compared, measured, removed, error.message);
    if (compared > 0)
        fail_msg("%s", difference);
    assert_int_equal(result.entries, entries);
    assert_int_equal(usage.inodes, entries);
    assert_false(tree_is_small(dirfd, "origin", entries - 1, TREE_ANY_BYTES));
    assert_true(tree_is_small(dirfd, "origin", entries, TREE_ANY_BYTES));
}

static void make_chain(int dirfd, int depth, const char *name)
{
    tree_sample_dir(dirfd, "origin");
    owned(fd_close) int fd = fd_open_dir(dirfd, "origin");
    for (int i = 0; i < depth; i++) {
        tree_sample_dir(fd, name);
        tree_sample_file(fd, "file", "x");
        int next_fd = fd_open_dir(fd, name);
        assert_true(next_fd >= 0);
        fd_close(&fd);
        fd = next_fd;
    }
}

static void a_chain_of_3000_directories(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    make_chain(fixture->fd, 3000, "a name of 24 characters.");
    assert_all_works(fixture->fd, 1 + 2 * 3000);
}

static void paths_far_longer_than_path_max(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    char name[256];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    make_chain(fixture->fd, 400, name);
    assert_all_works(fixture->fd, 1 + 2 * 400);
}

/* The other names of a file lie deeper than any path reaches. */
static void hard_links_across_a_deep_tree(void **state)
{
    enum { DEPTH = 300 };
    const struct volume_fixture *fixture = volume_fixture(state);
    make_chain(fixture->fd, DEPTH, "a name of 24 characters.");
    tree_sample_file(fixture->fd, "origin/linked", "y");
    owned(fd_close) int fd = fd_open_dir(fixture->fd, "origin");
    for (int i = 0; i < DEPTH; i++) {
        int next_fd = fd_open_dir(fd, "a name of 24 characters.");
        fd_close(&fd);
        fd = next_fd;
        assert_int_equal(linkat(fixture->fd, "origin/linked", fd, "linked", 0), 0);
    }
    struct tree_clone_options options = {0};
    struct tree_clone_result result;
    struct error error = {0};
    owned(mem_free) char *difference = NULL;
    if (tree_clone(fixture->fd, "origin", fixture->fd, "clone", &options, &result, &error) != 0 ||
        tree_compare(fixture->fd, "origin", fixture->fd, "clone", &difference, &error) != 0)
        fail_msg("%s%s", error.message, difference ? difference : "");
    struct stat status;
    assert_int_equal(fstatat(fixture->fd, "clone/linked", &status, 0), 0);
    assert_int_equal(status.st_nlink, DEPTH + 1);
}

static void a_directory_of_20000_files(void **state)
{
    enum { COUNT = 20000 };
    const struct volume_fixture *fixture = volume_fixture(state);
    char name[32];
    tree_sample_dir(fixture->fd, "origin");
    owned(fd_close) int fd = fd_open_dir(fixture->fd, "origin");
    for (int i = 0; i < COUNT; i++) {
        (void) snprintf(name, sizeof name, "file-%d", i);
        owned(fd_close) int file_fd = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        assert_true(file_fd >= 0);
    }
    assert_all_works(fixture->fd, 1 + COUNT);
}

static void a_directory_of_5000_directories(void **state)
{
    enum { COUNT = 5000 };
    const struct volume_fixture *fixture = volume_fixture(state);
    char name[64];
    tree_sample_dir(fixture->fd, "origin");
    for (int i = 0; i < COUNT; i++) {
        (void) snprintf(name, sizeof name, "origin/dir-%d", i);
        tree_sample_dir(fixture->fd, name);
        (void) snprintf(name, sizeof name, "origin/dir-%d/below", i);
        tree_sample_dir(fixture->fd, name);
    }
    assert_all_works(fixture->fd, 1 + 2 * COUNT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(a_chain_of_3000_directories),     VOLUME_TEST(paths_far_longer_than_path_max),
        VOLUME_TEST(hard_links_across_a_deep_tree),   VOLUME_TEST(a_directory_of_20000_files),
        VOLUME_TEST(a_directory_of_5000_directories),
    };
    return cmocka_run_group_tests_name("shape on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("shape on tmpfs", tests, volume_fixture_tmpfs,
                                       volume_fixture_unmount);
}
