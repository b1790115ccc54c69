/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of contract 7.4 for owners, modes, extended attributes and times. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/xattr.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/apply_fixture.h"
#include "tests/unit/platform.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"

/* 10, 12 */

static void set_id_bits_survive_the_owner(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.tar.uid = 1000;
    fixture.tar.gid = 1001;
    layer_tar_file(&fixture.tar, "file", 06755, "x");
    layer_tar_dir(&fixture.tar, "dir", 03777);
    layer_tar_link(&fixture.tar, "link", "file");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "dir").st_mode, S_IFDIR | 03777);
    assert_int_equal(apply_stat(&fixture, "dir").st_uid, 1000);
    assert_int_equal(apply_stat(&fixture, "file").st_mode, S_IFREG | 0644); /* of the link */
    layer_tar_file(&fixture.tar, "file", 06755, "x");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "file").st_mode, S_IFREG | 06755);
    assert_int_equal(apply_stat(&fixture, "file").st_gid, 1001);
    fixture.tar.uid = 1002;
    layer_tar_entry(&fixture.tar, '1', "link", 06755, "file", 0);
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "file").st_mode, S_IFREG | 06755);
    assert_int_equal(apply_stat(&fixture, "file").st_uid, 1002);
}

static void the_owner_does_not_come_from_a_directory_with_set_gid(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.tar.gid = 7;
    layer_tar_dir(&fixture.tar, "dir", 02755);
    fixture.tar.gid = 0;
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    layer_tar_dir(&fixture.tar, "dir/dir", 0755);
    layer_tar_symlink(&fixture.tar, "dir/link", "x");
    layer_tar_file(&fixture.tar, "dir/made/file", 0644, "x");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "dir/file").st_gid, 0);
    assert_int_equal(apply_stat(&fixture, "dir/dir").st_gid, 0);
    assert_int_equal(apply_stat(&fixture, "dir/dir").st_mode, S_IFDIR | 0755);
    assert_int_equal(apply_stat(&fixture, "dir/link").st_gid, 0);
    assert_int_equal(apply_stat(&fixture, "dir/made").st_gid, 7); /* as with containerd */
    assert_int_equal(apply_stat(&fixture, "dir/made").st_mode, S_IFDIR | 0755);
}

/* 11 */

static ssize_t get_xattr(const struct apply_fixture *fixture, const char *path, const char *name,
                         char *value, size_t size)
{
    owned(fd_close) int fd = openat(fixture->root_fd, path, O_RDONLY | O_CLOEXEC);
    return fgetxattr(fd, name, value, size);
}

static void xattrs_are_set(void **state)
{
    (void) volume_fixture_with(state, VOLUME_XATTRS);
    APPLY_FIXTURE(fixture, state);
    char value[64];
    unsigned char capability[32];
    size_t size = tree_sample_capability(capability);
    fixture.tar.uid = 5;
    layer_tar_pax(&fixture.tar, "SCHILY.xattr.security.capability", capability, size);
    layer_tar_pax(&fixture.tar, "SCHILY.xattr.user.binary", "a\0=\nb", 5);
    layer_tar_pax(&fixture.tar, "SCHILY.xattr.user.empty", "", 0);
    layer_tar_file(&fixture.tar, "file", 0755, "x");
    apply_well(&fixture);
    assert_int_equal(get_xattr(&fixture, "file", "security.capability", value, sizeof value), size);
    assert_memory_equal(value, capability, size);
    assert_int_equal(get_xattr(&fixture, "file", "user.binary", value, sizeof value), 5);
    assert_memory_equal(value, "a\0=\nb", 5);
    assert_int_equal(get_xattr(&fixture, "file", "user.empty", value, sizeof value), 0);
}

static void xattrs_of_libarchive_count_where_there_is_no_other(void **state)
{
    (void) volume_fixture_with(state, VOLUME_XATTRS);
    APPLY_FIXTURE(fixture, state);
    char value[64];
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.xattr.user.one%3d", "AGxvbmc=");
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.xattr.user.two", "d2Vhaw");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.two", "strong");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.three", "strong");
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.xattr.user.three", "d2Vhaw");
    layer_tar_pax_text(&fixture.tar, "LIBARCHIVE.xattr.user.bad", "!!");
    layer_tar_pax_text(&fixture.tar, "RHT.security.selinux", "no");
    layer_tar_pax_text(&fixture.tar, "SCHILY.acl.access", "nonsense");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_well(&fixture);
    assert_int_equal(get_xattr(&fixture, "file", "user.one=", value, sizeof value), 5);
    assert_memory_equal(value, "\0long", 5);
    assert_int_equal(get_xattr(&fixture, "file", "user.two", value, sizeof value), 6);
    assert_memory_equal(value, "strong", 6);
    assert_int_equal(get_xattr(&fixture, "file", "user.three", value, sizeof value), 6);
    assert_memory_equal(value, "strong", 6);
    assert_true(get_xattr(&fixture, "file", "user.bad", value, sizeof value) < 0);
    assert_true(get_xattr(&fixture, "file", "security.selinux", value, sizeof value) < 0);
}

static void xattrs_that_cannot_be_set_are_left_out(void **state)
{
    (void) volume_fixture_with(state, VOLUME_XATTRS);
    APPLY_FIXTURE(fixture, state);
    char value[64];
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.trusted.overlay.opaque", "y");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.com.apple.provenance", "y");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.x", "y");
    layer_tar_symlink(&fixture.tar, "link", "file");
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.x", "y");
    layer_tar_entry(&fixture.tar, '6', "fifo", 0644, "", 0);
    apply_well(&fixture);
    assert_true(get_xattr(&fixture, "file", "trusted.overlay.opaque", value, sizeof value) < 0);
    if (platform_is_darwin()) /* where that is a name like others */
        return;
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.", "y");
    layer_tar_file(&fixture.tar, "bad", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "entry bad: extended attribute user.");
}

static void an_acl_does_not_change_the_mode(void **state)
{
    APPLY_FIXTURE(fixture, state);
    unsigned char acl[64];
    size_t size = tree_sample_acl(acl);
    layer_tar_pax(&fixture.tar, "SCHILY.xattr.system.posix_acl_default", acl, size);
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    layer_tar_pax(&fixture.tar, "SCHILY.xattr.system.posix_acl_access", acl, size);
    layer_tar_file(&fixture.tar, "dir/other", 0604, "x");
    layer_tar_dir(&fixture.tar, "dir/dir", 0700);
    layer_tar_pax(&fixture.tar, "SCHILY.xattr.system.posix_acl_access", acl, size);
    layer_tar_file(&fixture.tar, "file", 0604, "x");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "file").st_mode, S_IFREG | 0604);
    assert_int_equal(apply_stat(&fixture, "dir/file").st_mode, S_IFREG | 0644);
    assert_int_equal(apply_stat(&fixture, "dir/other").st_mode, S_IFREG | 0604);
    assert_int_equal(apply_stat(&fixture, "dir/dir").st_mode, S_IFDIR | 0700);
}

/* 13 */

static void times_are_those_of_the_header(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.without_layer = true; /* that reads, which changes atimes */
    layer_tar_pax_text(&fixture.tar, "mtime", "1700000000.123456789");
    layer_tar_pax_text(&fixture.tar, "atime", "1800000000.5");
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "mtime", "1700000000.25");
    layer_tar_pax_text(&fixture.tar, "atime", "1600000000");
    layer_tar_symlink(&fixture.tar, "link", "file");
    layer_tar_pax_text(&fixture.tar, "mtime", "-0.5");
    layer_tar_file(&fixture.tar, "negative", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "mtime", "-5000.5");
    layer_tar_pax_text(&fixture.tar, "atime", "-1");
    layer_tar_file(&fixture.tar, "before", 0644, "x");
    layer_tar_pax_text(&fixture.tar, "mtime", "9223372036.9");
    layer_tar_file(&fixture.tar, "beyond", 0644, "x");
    apply_well(&fixture);
    struct stat file = apply_stat(&fixture, "file");
    assert_int_equal(file.st_mtim.tv_sec, 1700000000);
    assert_int_equal(file.st_mtim.tv_nsec, 123456789);
    assert_int_equal(file.st_atim.tv_sec, 1800000000);
    assert_int_equal(file.st_atim.tv_nsec, 500000000);
    struct stat link = apply_stat(&fixture, "link");
    assert_int_equal(link.st_mtim.tv_nsec, 250000000);
    assert_int_equal(link.st_atim.tv_sec, 1700000000);
    static const char *const epochs[] = {"negative", "before", "beyond"};
    for (size_t i = 0; i < sizeof epochs / sizeof epochs[0]; i++) {
        struct stat found = apply_stat(&fixture, epochs[i]);
        assert_int_equal(found.st_mtim.tv_sec, 0);
        assert_int_equal(found.st_mtim.tv_nsec, 0);
        assert_int_equal(found.st_atim.tv_sec, 0);
    }
}

static void directories_keep_their_times(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "a", 0755);
    layer_tar_dir(&fixture.tar, "a/b", 0755);
    layer_tar_dir(&fixture.tar, "alone", 0755);
    layer_tar_file(&fixture.tar, "a/b/file", 0644, "x");
    layer_tar_file(&fixture.tar, "a/made/file", 0644, "x");
    for (int i = 0; i < 100; i++) {
        char name[32];
        (void) snprintf(name, sizeof name, "other%d", i);
        layer_tar_dir(&fixture.tar, name, 0755);
        (void) snprintf(name, sizeof name, "other%d/file", i);
        layer_tar_file(&fixture.tar, name, 0644, "x");
    }
    layer_tar_file(&fixture.tar, "alone/made/file", 0644, "x");
    layer_tar_file(&fixture.tar, "a/b/later", 0644, "x");
    layer_tar_file(&fixture.tar, "a/b/.wh.file", 0, "");
    layer_tar_file(&fixture.tar, "a/b/c/d", 0644, "x");
    layer_tar_symlink(&fixture.tar, "link", "a");
    layer_tar_file(&fixture.tar, "link/through", 0644, "x");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "a").st_mtim.tv_sec, 1000000);
    assert_int_equal(apply_stat(&fixture, "a").st_atim.tv_sec, 1000000);
    assert_int_equal(apply_stat(&fixture, "a/b").st_mtim.tv_sec, 1000000);
    assert_int_equal(apply_stat(&fixture, "alone").st_mtim.tv_sec, 1000000);
    assert_int_equal(apply_stat(&fixture, "other0").st_mtim.tv_sec, 1000000);
    assert_int_not_equal(apply_stat(&fixture, "a/made").st_mtim.tv_sec, 1000000);
}

static void the_last_entry_of_a_directory_says_its_times(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    fixture.tar.mtime = 2000000;
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/more", 0644, "x");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "dir").st_mtim.tv_sec, 2000000);
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/more", 0644, "x");
    layer_tar_symlink(&fixture.tar, "other", "x");
    layer_tar_file(&fixture.tar, ".wh.other", 0, "");
    fixture.tar.mtime = 3000000;
    layer_tar_dir(&fixture.tar, "dir", 0755);
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "dir").st_mtim.tv_sec, 3000000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(set_id_bits_survive_the_owner),
        VOLUME_TEST(the_owner_does_not_come_from_a_directory_with_set_gid),
        VOLUME_TEST(xattrs_are_set),
        VOLUME_TEST(xattrs_of_libarchive_count_where_there_is_no_other),
        VOLUME_TEST(xattrs_that_cannot_be_set_are_left_out),
        VOLUME_TEST(an_acl_does_not_change_the_mode),
        VOLUME_TEST(times_are_those_of_the_header),
        VOLUME_TEST(directories_keep_their_times),
        VOLUME_TEST(the_last_entry_of_a_directory_says_its_times),
    };
    int failed = cmocka_run_group_tests_name("the attributes of what is applied", tests,
                                             volume_fixture_xfs, volume_fixture_unmount);
    apply_fixture_folds = true;
    return failed +
           cmocka_run_group_tests_name("the attributes of what is applied, as if names folded",
                                       tests, volume_fixture_xfs, volume_fixture_unmount);
}
