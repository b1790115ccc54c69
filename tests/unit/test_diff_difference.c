/* SPDX-License-Identifier: Apache-2.0 */
/* What a layer says of two trees, rule by rule. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/difference_fixture.h"
#include "tests/unit/difference_layer.h"
#include "tests/unit/platform.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

static void assert_fails(const struct difference_trees *trees, struct difference_layer *memory,
                         enum error_code code, const char *word)
{
    struct error error = {0};
    int result = difference_layer_make(memory, trees->fd, NULL, "R", NULL, &error);
    assert_int_equal(result, code);
    if (!strstr(error.message, word))
        fail_msg("\"%s\" does not say \"%s\"", error.message, word);
    difference_layer_clear(memory);
}

static void set_xattr(int dirfd, const char *path, const char *name, const char *value)
{
    char full[PATH_MAX];
    (void) snprintf(full, sizeof full, "/proc/self/fd/%d/%s", dirfd, path);
    if (lsetxattr(full, name, value, strlen(value), 0) == 0)
        return;
    if (errno == EOPNOTSUPP)
        skip();
    fail_msg("%s of %s: %s", name, path, strerror(errno));
}

static void rename_entry(int fd, const char *from, const char *to)
{
    assert_int_equal(renameat(fd, from, fd, to), 0);
}

static void link_entry(int fd, const char *from, const char *to)
{
    assert_int_equal(linkat(fd, from, fd, to, 0), 0);
}

static void equal_trees_make_an_empty_archive(void **state)
{
    struct difference_trees trees = difference_start(state);
    struct error error = {0};
    struct difference_layer memory;
    static const char zeros[1024];
    tree_sample_file(trees.fd, "L/file", "x");
    tree_sample_dir(trees.fd, "L/dir");
    difference_clone_left(&trees);
    difference_layer_init(&memory);
    assert_int_equal(difference_layer_make(&memory, trees.fd, "L", "R", NULL, &error), 0);
    assert_int_equal(memory.size, 1024);
    assert_memory_equal(memory.data, zeros, 1024);
    assert_int_equal(memory.result.entries, 0);
    assert_int_equal(memory.result.files_looked, 2);
    difference_layer_clear(&memory);
}

static void entries_are_in_byte_order_with_their_directories_before_them(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/a");
    tree_sample_dir(trees.fd, "L/a/deep");
    tree_sample_file(trees.fd, "L/a/gone", "x");
    tree_sample_file(trees.fd, "L/a.b", "x");
    tree_sample_dir(trees.fd, "L/quiet");
    tree_sample_file(trees.fd, "L/quiet/file", "x");
    difference_clone_left(&trees);
    tree_sample_file(trees.fd, "R/a/deep/two", "22");
    tree_sample_file(trees.fd, "R/a/deep/one", "1");
    tree_sample_file(trees.fd, "R/a-b", "x");
    tree_sample_file(trees.fd, "R/\xff", "x");
    tree_sample_file(trees.fd, "R/B", "x");
    assert_int_equal(unlinkat(trees.fd, "R/a/gone", 0), 0);
    assert_int_equal(unlinkat(trees.fd, "R/a.b", 0), 0);
    difference_assert(&trees, "f B 1\nd a/\nd a/deep/\nf a/deep/one 1\nf a/deep/two 2\n"
                              "f a/.wh.gone 0\nf a-b 1\nf .wh.a.b 0\nf \\xff 1\n");
}

static void a_removed_directory_is_one_whiteout(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/dir");
    tree_sample_dir(trees.fd, "L/dir/below");
    tree_sample_file(trees.fd, "L/dir/below/file", "x");
    difference_clone_left(&trees);
    assert_int_equal(tree_remove(trees.fd, "R/dir", NULL, NULL), 0);
    difference_assert(&trees, "f .wh.dir 0\n");
}

static void another_type_replaces_without_a_whiteout(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/dir");
    tree_sample_file(trees.fd, "L/dir/below", "x");
    tree_sample_file(trees.fd, "L/file", "x");
    difference_clone_left(&trees);
    assert_int_equal(tree_remove(trees.fd, "R/dir", NULL, NULL), 0);
    tree_sample_file(trees.fd, "R/dir", "now a file");
    assert_int_equal(unlinkat(trees.fd, "R/file", 0), 0);
    tree_sample_dir(trees.fd, "R/file");
    tree_sample_file(trees.fd, "R/file/inside", "x");
    difference_assert(&trees, "f dir 10\nd file/\nf file/inside 1\n");
}

static void mode_owner_and_time_are_changes_but_not_the_time_of_a_directory(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_file(trees.fd, "L/mode", "x");
    tree_sample_file(trees.fd, "L/group", "x");
    tree_sample_file(trees.fd, "L/owner", "x");
    tree_sample_file(trees.fd, "L/time", "x");
    tree_sample_dir(trees.fd, "L/dir-mode");
    tree_sample_dir(trees.fd, "L/dir-time");
    difference_clone_left(&trees);
    assert_int_equal(fchmodat(trees.fd, "R/mode", 0600, 0), 0);
    assert_int_equal(fchownat(trees.fd, "R/group", 0, 2, 0), 0);
    assert_int_equal(fchownat(trees.fd, "R/owner", 1, 0, 0), 0);
    tree_sample_time(trees.fd, "R/time", 1234567890, 5);
    assert_int_equal(fchmodat(trees.fd, "R/dir-mode", 0700, 0), 0);
    tree_sample_time(trees.fd, "R/dir-time", 1234567890, 5);
    difference_assert(&trees, "d dir-mode/\nf group 1\nf mode 1\nf owner 1\nf time 1\n");
}

static void special_files_are_entries_and_sockets_are_not(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_file(trees.fd, "L/becomes-socket", "x");
    assert_int_equal(mknodat(trees.fd, "L/socket-stays", S_IFSOCK | 0755, 0), 0);
    difference_clone_left(&trees);
    assert_int_equal(mkfifoat(trees.fd, "R/fifo", 0600), 0);
    assert_int_equal(mknodat(trees.fd, "R/char", S_IFCHR | 0600, makedev(255, 70000)), 0);
    assert_int_equal(mknodat(trees.fd, "R/block", S_IFBLK | 0600, makedev(8, 1)), 0);
    assert_int_equal(symlinkat("some/where", trees.fd, "R/link"), 0);
    assert_int_equal(mknodat(trees.fd, "R/socket", S_IFSOCK | 0755, 0), 0);
    assert_int_equal(unlinkat(trees.fd, "R/becomes-socket", 0), 0);
    assert_int_equal(mknodat(trees.fd, "R/becomes-socket", S_IFSOCK | 0755, 0), 0);
    difference_assert(&trees, "f .wh.becomes-socket 0\nb block 8,1\nc char 255,70000\np fifo\n"
                              "l link -> some/where\n");
}

static void names_that_mean_whiteouts_are_left_out(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_file(trees.fd, "L/.wh..opq", "x");
    difference_clone_left(&trees);
    assert_int_equal(unlinkat(trees.fd, "R/.wh..opq", 0), 0);
    tree_sample_file(trees.fd, "R/.wh.precious", "x");
    tree_sample_dir(trees.fd, "R/.wh.dir");
    tree_sample_file(trees.fd, "R/precious", "x");
    difference_assert(&trees, "f precious 1\n");
}

static void a_new_link_brings_its_whole_group(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/a");
    tree_sample_dir(trees.fd, "L/a/b");
    tree_sample_file(trees.fd, "L/a/b/one", "123");
    link_entry(trees.fd, "L/a/b/one", "L/a/two");
    link_entry(trees.fd, "L/a/b/one", "L/zzz");
    tree_sample_file(trees.fd, "L/other", "x");
    link_entry(trees.fd, "L/other", "L/other-too");
    difference_clone_left(&trees);
    tree_sample_dir(trees.fd, "R/m");
    link_entry(trees.fd, "R/a/two", "R/m/new");
    difference_assert(&trees, "d m/\nf m/new 3\nd a/\nd a/b/\nh a/b/one -> m/new\n"
                              "h a/two -> m/new\nh zzz -> m/new\n");
}

static void a_changed_group_is_one_file_and_links(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_file(trees.fd, "L/one", "123");
    link_entry(trees.fd, "L/one", "L/two");
    assert_int_equal(symlinkat("x", trees.fd, "L/symlink"), 0);
    link_entry(trees.fd, "L/symlink", "L/symlink-too");
    difference_clone_left(&trees);
    tree_sample_file(trees.fd, "R/two", "12345");
    assert_int_equal(fchownat(trees.fd, "R/symlink", 5, 5, AT_SYMLINK_NOFOLLOW), 0);
    difference_assert(&trees, "f one 5\nl symlink -> x\nh symlink-too -> symlink\nh two -> one\n");
}

/* The attributes of a and b are equal, so that their inodes alone differ. */
static void make_twins(int fd, const char *a, const char *b)
{
    tree_sample_file(fd, a, "same");
    tree_sample_file(fd, b, "same");
    tree_sample_time(fd, a, 1000000000, 77);
    tree_sample_time(fd, b, 1000000000, 77);
}

static void equal_files_that_become_one_are_a_change(void **state)
{
    struct difference_trees trees = difference_start(state);
    make_twins(trees.fd, "L/a", "L/b");
    difference_clone_left(&trees);
    assert_int_equal(unlinkat(trees.fd, "R/a", 0), 0);
    link_entry(trees.fd, "R/b", "R/a");
    difference_assert(&trees, "f b 4\nh a -> b\n");
}

static void a_file_that_becomes_two_equal_ones_is_a_change(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_file(trees.fd, "L/a", "same");
    link_entry(trees.fd, "L/a", "L/b");
    tree_sample_time(trees.fd, "L/a", 1000000000, 77);
    difference_clone_left(&trees);
    assert_int_equal(unlinkat(trees.fd, "R/b", 0), 0);
    tree_sample_file(trees.fd, "R/b", "same");
    tree_sample_time(trees.fd, "R/b", 1000000000, 77);
    difference_assert(&trees, "f b 4\n");
}

/* Neither file of the group was touched, but one of its names moved with its directory. */
static void directories_that_change_places_change_links(void **state)
{
    struct difference_trees trees = difference_start(state);
    tree_sample_dir(trees.fd, "L/d");
    tree_sample_dir(trees.fd, "L/e");
    make_twins(trees.fd, "L/d/b", "L/e/b");
    link_entry(trees.fd, "L/d/b", "L/a");
    difference_clone_left(&trees);
    rename_entry(trees.fd, "R/d", "R/tmp");
    rename_entry(trees.fd, "R/e", "R/d");
    rename_entry(trees.fd, "R/tmp", "R/e");
    difference_assert(&trees, "d d/\nf d/b 4\nd e/\nf e/b 4\nh a -> e/b\n");
}

static void extended_attributes_that_are_carried_are_changes(void **state)
{
    (void) volume_fixture_with(state, VOLUME_XATTRS);
    struct difference_trees trees = difference_start(state);
    unsigned char capability[32];
    size_t size = tree_sample_capability(capability);
    char full[PATH_MAX];
    tree_sample_file(trees.fd, "L/capable", "x");
    tree_sample_file(trees.fd, "L/quiet", "x");
    tree_sample_file(trees.fd, "L/user", "x");
    tree_sample_dir(trees.fd, "L/dir");
    set_xattr(trees.fd, "L/user", "user.a", "1");
    difference_clone_left(&trees);
    set_xattr(trees.fd, "R/user", "user.a", "2");
    set_xattr(trees.fd, "R/dir", "user.of-the-dir", "2");
    set_xattr(trees.fd, "R/quiet", "trusted.a", "2");
    set_xattr(trees.fd, "R/quiet", "user.overlay.opaque", "y");
    set_xattr(trees.fd, "R/quiet", "user.a=b", "y");
    (void) snprintf(full, sizeof full, "/proc/self/fd/%d/R/capable", trees.fd);
    assert_int_equal(lsetxattr(full, "security.capability", capability, size, 0), 0);
    difference_assert(&trees, "f capable 1\nd dir/\nf user 1\n");
}

static void names_are_bytes_of_any_length(void **state)
{
    struct difference_trees trees = difference_start(state);
    char name[256];
    char path[600];
    memset(name, 'n', 255);
    name[255] = '\0';
    tree_sample_dir(trees.fd, "R");
    (void) snprintf(path, sizeof path, "R/%s", name);
    tree_sample_dir(trees.fd, path);
    (void) snprintf(path, sizeof path, "R/%s/%s", name, "caf\xe9");
    tree_sample_file(trees.fd, path, "x");
    (void) snprintf(path, sizeof path, "R/%s/%s", name, name);
    tree_sample_file(trees.fd, path, "x");
    owned(mem_free) char *expected =
        mem_printf("d %s/\nf %s/caf\\xe9 1\nf %s/%s 1\n", name, name, name, name);
    difference_assert_layer(trees.fd, NULL, NULL, expected, 2);
}

static void a_sparse_file_of_9_gib_is_not_read(void **state)
{
    struct difference_trees trees = difference_start(state);
    struct error error = {0};
    struct difference_layer memory;
    uint64_t size = ((uint64_t) 9 << 30) + 1;
    tree_sample_dir(trees.fd, "R");
    owned(fd_close) int fd = openat(trees.fd, "R/sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (ftruncate(fd, (off_t) size) != 0)
        skip();
    difference_layer_init(&memory);
    memory.drop = true;
    assert_int_equal(difference_layer_make(&memory, trees.fd, NULL, "R", NULL, &error), 0);
    assert_int_equal(memory.result.files_read, 0);
    assert_int_equal(memory.written, 3 * 512 + (size + 511) / 512 * 512 + 1024);
}

static int remove_late(void *context)
{
    (void) unlinkat(*(int *) context, "R/z-late", 0);
    return 0;
}

static int grow_big(void *context)
{
    owned(fd_close) int fd = openat(*(int *) context, "R/big", O_WRONLY | O_APPEND | O_CLOEXEC);
    return write(fd, "x", 1) == 1 ? 0 : -1;
}

static int shrink_big(void *context)
{
    owned(fd_close) int fd = openat(*(int *) context, "R/big", O_WRONLY | O_CLOEXEC);
    return ftruncate(fd, 10);
}

static int refuse(void *context)
{
    (void) context;
    return ERROR_BUSY;
}

static void make_big(int fd)
{
    char block[4096] = {1};
    tree_sample_dir(fd, "R");
    owned(fd_close) int big_fd = openat(fd, "R/big", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    for (int i = 0; i < 200; i++)
        assert_int_equal(write(big_fd, block, sizeof block), sizeof block);
    tree_sample_file(fd, "R/z-late", "x");
}

static void a_tree_that_changes_meanwhile_is_refused(void **state)
{
    struct difference_trees trees = difference_start(state);
    struct difference_layer memory;
    int (*const hooks[])(void *) = {remove_late, grow_big, shrink_big};
    for (int i = 0; i < 3; i++) {
        make_big(trees.fd);
        difference_layer_init(&memory);
        memory.hook = hooks[i];
        memory.context = &trees.fd;
        assert_fails(&trees, &memory, ERROR_PRECONDITION, i == 0 ? "z-late" : "big");
        assert_int_equal(tree_remove(trees.fd, "R", NULL, NULL), 0);
    }
}

static void a_sink_that_fails_ends_it(void **state)
{
    struct difference_trees trees = difference_start(state);
    struct difference_layer memory;
    make_big(trees.fd);
    difference_layer_init(&memory);
    memory.hook = refuse;
    assert_fails(&trees, &memory, ERROR_BUSY, "the sink is full");
}

static void it_stops_when_asked_to(void **state)
{
    struct difference_trees trees = difference_start(state);
    struct error error = {0};
    struct cancel cancel = {.requested = true};
    struct difference_layer memory;
    struct layer_difference_result result;
    make_big(trees.fd);
    difference_layer_init(&memory);
    owned(fd_close) int right_fd = fd_open_dir(trees.fd, "R");
    struct layer_difference_options options = {
        .left_fd = -1, .right_fd = right_fd, .cancel = &cancel};
    assert_int_equal(layer_difference(&options, &memory.sink, &result, &error), ERROR_CANCELLED);
    assert_int_equal(memory.written, 0);
}

static void mounts_inside_are_refused(void **state)
{
    struct difference_trees trees = difference_start(state);
    struct difference_layer memory;
    tree_sample_dir(trees.fd, "R");
    tree_sample_dir(trees.fd, "R/mounted");
    tree_sample_file(trees.fd, "R/file", "x");
    owned(mem_free) char *dir = mem_printf("%s/R/mounted", trees.fixture->path);
    owned(mem_free) char *file = mem_printf("%s/R/file", trees.fixture->path);
    assert_int_equal(mount("tmpfs", dir, "tmpfs", 0, NULL), 0);
    difference_layer_init(&memory);
    assert_fails(&trees, &memory, ERROR_PRECONDITION, "mounted: something is mounted here");
    assert_int_equal(umount(dir), 0);
    if (platform_is_darwin()) /* which mounts nothing on files */
        return;
    assert_int_equal(mount("/proc/version", file, NULL, MS_BIND, NULL), 0);
    difference_layer_init(&memory);
    assert_fails(&trees, &memory, ERROR_PRECONDITION, "file: something is mounted here");
    assert_int_equal(umount(file), 0);
}

#define TESTS                                                                                      \
    VOLUME_TEST(equal_trees_make_an_empty_archive),                                                \
        VOLUME_TEST(entries_are_in_byte_order_with_their_directories_before_them),                 \
        VOLUME_TEST(a_removed_directory_is_one_whiteout),                                          \
        VOLUME_TEST(another_type_replaces_without_a_whiteout),                                     \
        VOLUME_TEST(mode_owner_and_time_are_changes_but_not_the_time_of_a_directory),              \
        VOLUME_TEST(special_files_are_entries_and_sockets_are_not),                                \
        VOLUME_TEST(names_that_mean_whiteouts_are_left_out),                                       \
        VOLUME_TEST(a_new_link_brings_its_whole_group),                                            \
        VOLUME_TEST(a_changed_group_is_one_file_and_links),                                        \
        VOLUME_TEST(equal_files_that_become_one_are_a_change),                                     \
        VOLUME_TEST(a_file_that_becomes_two_equal_ones_is_a_change),                               \
        VOLUME_TEST(directories_that_change_places_change_links),                                  \
        VOLUME_TEST(extended_attributes_that_are_carried_are_changes),                             \
        VOLUME_TEST(names_are_bytes_of_any_length),                                                \
        VOLUME_TEST(a_sparse_file_of_9_gib_is_not_read),                                           \
        VOLUME_TEST(a_tree_that_changes_meanwhile_is_refused),                                     \
        VOLUME_TEST(a_sink_that_fails_ends_it), VOLUME_TEST(it_stops_when_asked_to),               \
        VOLUME_TEST(mounts_inside_are_refused)

int main(void)
{
    const struct CMUnitTest xfs_tests[] = {TESTS};
    const struct CMUnitTest tmpfs_tests[] = {TESTS};
    int failed = cmocka_run_group_tests(xfs_tests, volume_fixture_xfs, volume_fixture_unmount);
    return failed +
           cmocka_run_group_tests(tmpfs_tests, volume_fixture_tmpfs, volume_fixture_unmount);
}
