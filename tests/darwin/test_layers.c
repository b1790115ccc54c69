/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/attr.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/darwin/fixture.h"
#include "tests/unit/apply_fixture.h"
#include "tests/unit/difference_layer.h"
#include "tests/unit/volume_fixture.h"
#include "tree/os.h"
#include "tree/tree.h"

/* What only macOS has, through layers and clones: docs/attributes.md. */

static ssize_t get_xattr(int dirfd, const char *path, const char *name, char *value, size_t size)
{
    owned(fd_close) int fd = fixture_open(dirfd, path);
    return os_xattr_get(fd, name, value, size);
}

static bool has_xattr(int dirfd, const char *path, const char *name)
{
    return get_xattr(dirfd, path, name, NULL, 0) >= 0;
}

static void layers_restore_birth_times(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.creationtime", "900000.25");
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.creationtime", "800000");
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.creationtime", "700000.000000001");
    layer_tar_symlink(&fixture.tar, "link", "x");
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.creationtime", "soon");
    layer_tar_file(&fixture.tar, "other", 0644, "x");
    apply_well(&fixture);
    struct stat dir = fixture_stat(fixture.root_fd, "dir");
    assert_int_equal(dir.st_birthtimespec.tv_sec, 900000);
    assert_int_equal(dir.st_birthtimespec.tv_nsec, 250000000);
    assert_int_equal(dir.st_mtimespec.tv_sec, 1000000);
    assert_int_equal(fixture_stat(fixture.root_fd, "dir/file").st_birthtimespec.tv_sec, 800000);
    assert_int_equal(fixture_stat(fixture.root_fd, "link").st_birthtimespec.tv_sec, 700000);
    assert_int_equal(fixture_stat(fixture.root_fd, "link").st_birthtimespec.tv_nsec, 1);
    assert_int_equal(fixture_stat(fixture.root_fd, "other").st_birthtimespec.tv_sec, 1000000);
}

static void layers_restore_flags_if_asked_for(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.options.file_flags = true;
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "hidden,arch,schg");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "SCHILY.fflags", "opaque,nodump,compressed,restricted");
    layer_tar_dir(&fixture.tar, "dir", 0755);
    apply_well(&fixture);
    assert_int_equal(fixture_stat(fixture.root_fd, "file").st_flags,
                     UF_HIDDEN | SF_ARCHIVED | UF_IMMUTABLE);
    assert_int_equal(fixture_stat(fixture.root_fd, "dir").st_flags, UF_OPAQUE | UF_NODUMP);
}

static void layers_restore_no_marks_of_another_mac(void **state)
{
    APPLY_FIXTURE(fixture, state);
    char long_name[128 + 1];
    memset(long_name, 'n', sizeof long_name - 1);
    long_name[sizeof long_name - 1] = '\0';
    owned(mem_free) char *too_long = mem_printf("SCHILY.xattr.%s", long_name);
    owned(mem_free) char *fits = mem_printf("SCHILY.xattr.%s", long_name + 1);
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.com.apple.quarantine", "0083;;;");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.com.apple.decmpfs", "fpmc");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.com.apple.acl.text", fixture_acl);
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.security.capability", "as it is");
    layer_tar_pax_text(&fixture.tar, too_long, "x");
    layer_tar_pax_text(&fixture.tar, fits, "x");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_well(&fixture);
    assert_false(has_xattr(fixture.root_fd, "file", "com.apple.quarantine"));
    assert_false(has_xattr(fixture.root_fd, "file", "com.apple.decmpfs"));
    assert_true(has_xattr(fixture.root_fd, "file", "com.apple.acl.text"));
    assert_true(has_xattr(fixture.root_fd, "file", "security.capability"));
    assert_true(has_xattr(fixture.root_fd, "file", long_name + 1));
    assert_true(os_has_acl_at(fixture.root_fd, "file"));
}

/* Of a folder that was there, of one of the layer, and on the way. */
static void nothing_inherits_an_acl(void **state)
{
    static const char inheritable[] = "!#acl 1\nuser:FFFFEEEE-DDDD-CCCC-BBBB-AAAA00003039:::allow,"
                                      "file_inherit,directory_inherit:read\n";
    static const char *const made[] = {"old/file", "old/dir",       "old/dir/file", "old/fifo",
                                       "old/made", "old/made/file", "new/file",     "new/dir"};
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.com.apple.acl.text", inheritable);
    layer_tar_dir(&fixture.tar, "old", 0755);
    apply_well(&fixture);
    assert_true(os_has_acl_at(fixture.root_fd, "old"));
    owned(fd_close) int old_fd = fixture_open(fixture.root_fd, "old");
    assert_int_equal(mkdirat(old_fd, "other", 0755), 0);
    assert_true(os_has_acl_at(old_fd, "other"));
    layer_tar_file(&fixture.tar, "old/file", 0644, "x");
    layer_tar_dir(&fixture.tar, "old/dir", 0755);
    layer_tar_file(&fixture.tar, "old/dir/file", 0644, "x");
    layer_tar_symlink(&fixture.tar, "old/link", "x");
    layer_tar_entry(&fixture.tar, '6', "old/fifo", 0644, "", 0);
    layer_tar_file(&fixture.tar, "old/made/file", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.com.apple.acl.text", inheritable);
    layer_tar_dir(&fixture.tar, "new", 0755);
    layer_tar_file(&fixture.tar, "new/file", 0644, "x");
    layer_tar_dir(&fixture.tar, "new/dir", 0755);
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.com.apple.acl.text", fixture_acl);
    layer_tar_file(&fixture.tar, "new/own", 0644, "x");
    apply_well(&fixture);
    for (size_t i = 0; i < sizeof made / sizeof made[0]; i++)
        if (os_has_acl_at(fixture.root_fd, made[i]))
            fail_msg("%s has an ACL", made[i]);
    assert_true(os_has_acl_at(fixture.root_fd, "new"));
    assert_true(os_has_acl_at(fixture.root_fd, "new/own"));
    char text[256];
    ssize_t length = get_xattr(fixture.root_fd, "new/own", "com.apple.acl.text", text, sizeof text);
    assert_int_equal(length, strlen(fixture_acl));
    assert_memory_equal(text, fixture_acl, strlen(fixture_acl));
}

static void names_that_are_no_text_are_refused(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "dir/bad\xff", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID,
                "entry dir/bad\\xff: cannot make it: this volume takes names in valid UTF-8 alone");
    layer_tar_file(&fixture.tar, "file/..namedfork/rsrc", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "this system has no such name");
    layer_tar_link(&fixture.tar, "link", "file/..namedfork/rsrc");
    apply_badly(&fixture, ERROR_INVALID, "a hard link to what is no name");
}

static void make_file(int dirfd, const char *path)
{
    owned(fd_close) int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    assert_true(fd >= 0);
}

static void make_pair(int dirfd)
{
    static const char *const dirs[] = {"left", "right"};
    const struct timespec times[2] = {{1000000, 0}, {1000000, 0}};
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(mkdirat(dirfd, dirs[i], 0755), 0);
        owned(fd_close) int fd = fixture_open(dirfd, dirs[i]);
        make_file(fd, "file");
        make_file(fd, "same");
        assert_int_equal(utimensat(fd, "file", times, 0), 0);
        assert_int_equal(utimensat(fd, "same", times, 0), 0);
    }
}

static void layers_carry_flags(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    owned(difference_layer_clear) struct difference_layer layer;
    difference_layer_init(&layer);
    make_pair(dirfd);
    fixture_set_flags(dirfd, "right/file", UF_HIDDEN | SF_ARCHIVED);
    assert_int_equal(difference_layer_make(&layer, dirfd, "left", "right", NULL, NULL), 0);
    owned(mem_free) char *list = difference_layer_list(&layer);
    assert_string_equal(list, "f file 0\n");
    assert_non_null(memmem(layer.data, layer.size, "SCHILY.fflags=arch,hidden\n", 26));
}

/* Each inode has another com.apple.provenance, and no difference is made of it. */
static void marks_of_this_mac_are_no_difference(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    owned(difference_layer_clear) struct difference_layer layer;
    difference_layer_init(&layer);
    make_pair(dirfd);
    owned(fd_close) int fd = fixture_open(dirfd, "right/file");
    assert_int_equal(os_xattr_set(fd, "com.apple.quarantine", "x", 1), 0);
    assert_int_equal(difference_layer_make(&layer, dirfd, "left", "right", NULL, NULL), 0);
    owned(mem_free) char *list = difference_layer_list(&layer);
    assert_string_equal(list, "");
}

static void set_birth(int dirfd, const char *path, long seconds)
{
    const struct timespec birth = {seconds, 7};
    assert_int_equal(os_set_birth_at(dirfd, path, &birth), 0);
}

static void clone(int dirfd)
{
    static const struct tree_clone_options options = {0};
    struct tree_clone_result result;
    struct error error = {0};
    owned(mem_free) char *difference = NULL;
    if (tree_clone(dirfd, "tree", dirfd, "clone", &options, &result, &error) != 0)
        fail_msg("%s", error.message);
    if (tree_compare(dirfd, "tree", dirfd, "clone", &difference, &error) != 0)
        fail_msg("%s%s", error.message, difference ? difference : "");
}

/* A birth after the last change is one that its mtime would move. */
static void clones_have_birth_times(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    const struct timespec times[2] = {{1000000, 0}, {1000000, 0}};
    static const char *const paths[] = {"tree/dir/file", "tree/dir/early", "tree/link", "tree/dir",
                                        "tree"};
    assert_int_equal(mkdirat(dirfd, "tree", 0755), 0);
    assert_int_equal(mkdirat(dirfd, "tree/dir", 0755), 0);
    make_file(dirfd, "tree/dir/file");
    make_file(dirfd, "tree/dir/early");
    assert_int_equal(symlinkat("x", dirfd, "tree/link"), 0);
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++)
        assert_int_equal(utimensat(dirfd, paths[i], times, AT_SYMLINK_NOFOLLOW), 0);
    set_birth(dirfd, "tree/dir/early", 500000);
    set_birth(dirfd, "tree/link", 600000);
    set_birth(dirfd, "tree/dir", 700000);
    clone(dirfd);
    assert_int_equal(fixture_stat(dirfd, "clone/dir").st_birthtimespec.tv_sec, 700000);
    assert_int_equal(fixture_stat(dirfd, "clone/dir").st_birthtimespec.tv_nsec, 7);
    assert_int_equal(fixture_stat(dirfd, "clone/link").st_birthtimespec.tv_sec, 600000);
    assert_int_equal(fixture_stat(dirfd, "clone/dir/early").st_birthtimespec.tv_sec, 500000);
}

static void clones_keep_the_flags_of_the_system_apart(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    assert_int_equal(mkdirat(dirfd, "tree", 0755), 0);
    make_file(dirfd, "tree/one");
    assert_int_equal(linkat(dirfd, "tree/one", dirfd, "tree/two", 0), 0);
    make_file(dirfd, "tree/users");
    assert_int_equal(linkat(dirfd, "tree/users", dirfd, "tree/users2", 0), 0);
    fixture_set_flags(dirfd, "tree/one", SF_IMMUTABLE | UF_HIDDEN);
    fixture_set_flags(dirfd, "tree/users", UF_IMMUTABLE | SF_APPEND);
    fixture_set_flags(dirfd, "tree", SF_APPEND | UF_OPAQUE);
    clone(dirfd);
    assert_int_equal(fixture_stat(dirfd, "clone/two").st_flags, SF_IMMUTABLE | UF_HIDDEN);
    assert_int_equal(fixture_stat(dirfd, "clone/users2").st_flags, UF_IMMUTABLE | SF_APPEND);
    assert_int_equal(fixture_stat(dirfd, "clone").st_flags, SF_APPEND | UF_OPAQUE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOSSES_TEST(layers_restore_birth_times),
        LOSSES_TEST(layers_restore_flags_if_asked_for),
        LOSSES_TEST(layers_restore_no_marks_of_another_mac),
        LOSSES_TEST(nothing_inherits_an_acl),
        LOSSES_TEST(names_that_are_no_text_are_refused),
        LOSSES_TEST(layers_carry_flags),
        LOSSES_TEST(marks_of_this_mac_are_no_difference),
        LOSSES_TEST(clones_have_birth_times),
        LOSSES_TEST(clones_keep_the_flags_of_the_system_apart),
    };
    return cmocka_run_group_tests_name("layers and clones on macOS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount);
}
