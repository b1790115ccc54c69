/* SPDX-License-Identifier: Apache-2.0 */
/* Layers of trees that are very deep or very wide, with few descriptors. */
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
#include "tests/unit/difference_layer.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

enum { DESCRIPTORS = 128 };

static void make_layer(struct difference_layer *layer, int fd, const char *left, const char *right)
{
    struct rlimit before;
    struct rlimit limit;
    struct error error = {0};
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    limit = before;
    limit.rlim_cur = DESCRIPTORS;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    difference_layer_init(layer);
    int code = difference_layer_make(layer, fd, left, right, NULL, &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    if (code != 0)
        fail_msg("%s", error.message);
}

static void clone_tree(int fd, const char *from, const char *to)
{
    struct error error = {0};
    struct tree_clone_options options = {0};
    struct tree_clone_result result;
    if (tree_clone(fd, from, fd, to, &options, &result, &error) != 0)
        fail_msg("%s", error.message);
}

/* Makes a chain of directories below "L", a file in each, and returns the deepest, open. */
static int make_chain(int dirfd, int depth, const char *name)
{
    tree_sample_dir(dirfd, "L");
    owned(fd_close) int fd = fd_open_dir(dirfd, "L");
    for (int i = 0; i < depth; i++) {
        tree_sample_dir(fd, name);
        tree_sample_file(fd, "file", "x");
        int next_fd = fd_open_dir(fd, name);
        assert_true(next_fd >= 0);
        fd_close(&fd);
        fd = next_fd;
    }
    return fd_take(&fd);
}

static int open_chain(int dirfd, const char *root, int depth, const char *name)
{
    owned(fd_close) int fd = fd_open_dir(dirfd, root);
    for (int i = 0; i < depth; i++) {
        int next_fd = fd_open_dir(fd, name);
        assert_true(next_fd >= 0);
        fd_close(&fd);
        fd = next_fd;
    }
    return fd_take(&fd);
}

static void a_change_in_a_chain_of_directories(const struct volume_fixture *fixture, int depth,
                                               const char *name)
{
    struct difference_layer layer;
    owned(fd_close) int deep_fd = make_chain(fixture->fd, depth, name);
    tree_sample_file(deep_fd, "gone", "x");
    clone_tree(fixture->fd, "L", "R");
    owned(fd_close) int right_fd = open_chain(fixture->fd, "R", depth, name);
    assert_int_equal(unlinkat(right_fd, "gone", 0), 0);
    tree_sample_file(right_fd, "new", "1234567");
    make_layer(&layer, fixture->fd, "L", "R");
    assert_int_equal(layer.result.entries, depth + 2);

    owned(mem_free) char *list = difference_layer_list(&layer);
    size_t name_size = strlen(name) + 1;
    owned(mem_free) char *path = mem_alloc((size_t) depth * name_size + 1);
    for (int i = 0; i < depth; i++)
        (void) sprintf(path + (size_t) i * name_size, "%s/", name);
    owned(mem_free) char *end = mem_printf("d %s\nf %s.wh.gone 0\nf %snew 7\n", path, path, path);
    size_t length = strlen(list);
    assert_true(length > strlen(end));
    assert_string_equal(list + length - strlen(end), end);
    difference_layer_clear(&layer);
}

static void a_chain_of_1500_directories(void **state)
{
    a_change_in_a_chain_of_directories(volume_fixture(state), 1500, "12 letters..");
}

static void paths_far_longer_than_path_max(void **state)
{
    char name[256];
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    a_change_in_a_chain_of_directories(volume_fixture(state), 200, name);
}

/* The group is remembered in directories that the walk has left when a new name shows up. */
static void links_in_300_directories_that_were_left(void **state)
{
    enum { COUNT = 300 };
    const struct volume_fixture *fixture = volume_fixture(state);
    struct difference_layer layer;
    char path[64];
    tree_sample_dir(fixture->fd, "L");
    tree_sample_file(fixture->fd, "L/z-linked", "x");
    for (int i = 0; i < COUNT; i++) {
        (void) snprintf(path, sizeof path, "L/dir-%03d", i);
        tree_sample_dir(fixture->fd, path);
        (void) snprintf(path, sizeof path, "L/dir-%03d/below", i);
        tree_sample_dir(fixture->fd, path);
        (void) snprintf(path, sizeof path, "L/dir-%03d/below/linked", i);
        assert_int_equal(linkat(fixture->fd, "L/z-linked", fixture->fd, path, 0), 0);
    }
    clone_tree(fixture->fd, "L", "R");
    assert_int_equal(linkat(fixture->fd, "R/z-linked", fixture->fd, "R/m", 0), 0);
    make_layer(&layer, fixture->fd, "L", "R");
    owned(mem_free) char *list = difference_layer_list(&layer);
    static const char *const start = "f m 1\nd dir-000/\nd dir-000/below/\n"
                                     "h dir-000/below/linked -> m\nd dir-001/\n";
    assert_int_equal(strncmp(list, start, strlen(start)), 0);
    assert_int_equal(layer.result.entries, 3 * COUNT + 2);
    difference_layer_clear(&layer);
}

static void a_directory_of_20000_files(void **state)
{
    enum { COUNT = 20000 };
    const struct volume_fixture *fixture = volume_fixture(state);
    struct difference_layer layer;
    char name[32];
    tree_sample_dir(fixture->fd, "L");
    owned(fd_close) int fd = fd_open_dir(fixture->fd, "L");
    for (int i = 0; i < COUNT; i++) {
        (void) snprintf(name, sizeof name, "file-%d", i);
        owned(fd_close) int file_fd = openat(fd, name, O_WRONLY | O_CREAT | O_EXCL, 0644);
        assert_true(file_fd >= 0);
    }
    tree_sample_dir(fixture->fd, "R");
    tree_sample_file(fixture->fd, "R/file-7", "x");
    make_layer(&layer, fixture->fd, "L", "R");
    assert_int_equal(layer.result.entries, COUNT);
    owned(mem_free) char *list = difference_layer_list(&layer);
    static const char *const start = "f .wh.file-0 0\nf .wh.file-1 0\nf .wh.file-10 0\n";
    assert_int_equal(strncmp(list, start, strlen(start)), 0);
    assert_non_null(strstr(list, "\nf file-7 1\nf .wh.file-70 0\n"));
    difference_layer_clear(&layer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(a_chain_of_1500_directories),
        VOLUME_TEST(paths_far_longer_than_path_max),
        VOLUME_TEST(links_in_300_directories_that_were_left),
        VOLUME_TEST(a_directory_of_20000_files),
    };
    return cmocka_run_group_tests(tests, volume_fixture_xfs, volume_fixture_unmount);
}
