/* SPDX-License-Identifier: Apache-2.0 */
/* The rules of contract 7.4, one after the other; those for attributes are in
 * test_diff_apply_attributes.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/apply_fixture.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"

/* 1 */

static void names_are_confined_to_the_root(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "etc/", 0755);
    layer_tar_file(&fixture.tar, "../../etc/a", 0644, "a");
    layer_tar_file(&fixture.tar, "/etc/b", 0644, "b");
    layer_tar_file(&fixture.tar, "./etc/x/../c", 0644, "c");
    layer_tar_file(&fixture.tar, "etc//d", 0644, "d");
    apply_well(&fixture);
    assert_content(&fixture, "etc/a", "a");
    assert_content(&fixture, "etc/b", "b");
    assert_content(&fixture, "etc/c", "c");
    assert_content(&fixture, "etc/d", "d");
    assert_false(apply_exists(&fixture, "etc/x"));
    assert_int_equal(fixture.result.entries, 5);
    assert_int_equal(fixture.result.bytes, 4);
}

static void an_entry_for_the_root_is_ignored(void **state)
{
    APPLY_FIXTURE(fixture, state);
    struct stat before = apply_stat(&fixture, ".");
    fixture.tar.uid = 7;
    layer_tar_dir(&fixture.tar, "./", 0700);
    layer_tar_dir(&fixture.tar, "/", 0700);
    layer_tar_dir(&fixture.tar, "..", 0700);
    layer_tar_file(&fixture.tar, "a/..", 0700, "x");
    layer_tar_symlink(&fixture.tar, ".", "/etc");
    apply_well(&fixture);
    struct stat after = apply_stat(&fixture, ".");
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_uid, before.st_uid);
    assert_memory_equal(&after.st_mtim, &before.st_mtim, sizeof after.st_mtim);
    assert_false(apply_exists(&fixture, "a"));
}

/* On macOS what is made has the group of its directory. */
static void a_directory_on_the_way_has_our_group(void **state)
{
    APPLY_FIXTURE(fixture, state);
    assert_int_equal(fchown(fixture.root_fd, (uid_t) -1, 250), 0);
    layer_tar_file(&fixture.tar, "a/b/file", 0644, "x");
    apply_well(&fixture);
    assert_int_equal(apply_stat(&fixture, "a").st_gid, getegid());
    assert_int_equal(apply_stat(&fixture, "a/b").st_gid, getegid());
    assert_int_equal(apply_stat(&fixture, "a/b/file").st_gid, fixture.tar.gid);
}

/* 2 */

static void links_on_the_way_lead_to_places_below_the_root(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "usr/lib", 0755);
    layer_tar_symlink(&fixture.tar, "lib", "usr/lib");
    layer_tar_symlink(&fixture.tar, "absolute", "/usr/lib");
    layer_tar_symlink(&fixture.tar, "usr/absolute", "/usr/lib");
    layer_tar_symlink(&fixture.tar, "usr/up", "../../../../usr/lib");
    layer_tar_symlink(&fixture.tar, "chain", "absolute/../up");
    layer_tar_file(&fixture.tar, "lib/a", 0644, "a");
    layer_tar_file(&fixture.tar, "absolute/b", 0644, "b");
    layer_tar_file(&fixture.tar, "usr/up/c", 0644, "c");
    layer_tar_file(&fixture.tar, "lib/new/d", 0644, "d");
    layer_tar_file(&fixture.tar, "usr/absolute/e", 0644, "e");
    layer_tar_file(&fixture.tar, "chain/lib/f", 0644, "f");
    apply_well(&fixture);
    assert_content(&fixture, "usr/lib/a", "a");
    assert_content(&fixture, "usr/lib/b", "b");
    assert_content(&fixture, "usr/lib/c", "c");
    assert_content(&fixture, "usr/lib/new/d", "d");
    assert_content(&fixture, "usr/lib/e", "e");
    assert_content(&fixture, "up/lib/f", "f");
    assert_true(S_ISLNK(apply_stat(&fixture, "lib").st_mode));
}

static void link_targets_are_joined_by_their_text(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "deep/er", 0755);
    layer_tar_dir(&fixture.tar, "b", 0755);
    layer_tar_symlink(&fixture.tar, "a", "deep/er");
    layer_tar_symlink(&fixture.tar, "link", "a/../b");
    layer_tar_file(&fixture.tar, "link/file", 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, "b/file", "x");
    assert_false(apply_exists(&fixture, "deep/b"));
}

static void the_last_component_is_never_followed(void **state)
{
    APPLY_FIXTURE(fixture, state);
    tree_sample_file(fixture.dir_fd, "outside", "kept");
    layer_tar_symlink(&fixture.tar, "link", "../outside");
    layer_tar_file(&fixture.tar, "link", 0644, "new");
    apply_well(&fixture);
    assert_content(&fixture, "link", "new");
    assert_true(S_ISREG(apply_stat(&fixture, "link").st_mode));
    assert_int_equal(faccessat(fixture.dir_fd, "outside", F_OK, 0), 0);
}

/* link0 -> link1 -> ... -> dir */
static void add_chain(struct apply_fixture *fixture, int links)
{
    char name[16];
    char target[16];
    layer_tar_dir(&fixture->tar, "dir", 0755);
    for (int i = 0; i < links; i++) {
        (void) snprintf(name, sizeof name, "link%d", i);
        (void) snprintf(target, sizeof target, "link%d", i + 1);
        layer_tar_symlink(&fixture->tar, name, i + 1 < links ? target : "dir");
    }
    layer_tar_file(&fixture->tar, "link0/file", 0644, "x");
}

static void links_may_be_many_but_not_without_end(void **state)
{
    APPLY_FIXTURE(fixture, state);
    add_chain(&fixture, 255);
    apply_well(&fixture);
    assert_content(&fixture, "dir/file", "x");
    add_chain(&fixture, 256);
    apply_badly(&fixture, ERROR_INVALID, "links");
    layer_tar_symlink(&fixture.tar, "loop", "loop");
    layer_tar_file(&fixture.tar, "loop/file", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "entry loop/file: more than 255 links");
}

/* 3 */

static void missing_parents_are_made(void **state)
{
    APPLY_FIXTURE(fixture, state);
    mode_t mask = umask(077);
    fixture.tar.uid = fixture.tar.gid = 5;
    layer_tar_file(&fixture.tar, "a/b/file", 0666, "x");
    apply_well(&fixture);
    (void) umask(mask);
    assert_int_equal(apply_stat(&fixture, "a").st_mode, S_IFDIR | 0755);
    assert_int_equal(apply_stat(&fixture, "a/b").st_mode, S_IFDIR | 0755);
    assert_int_equal(apply_stat(&fixture, "a/b").st_uid, 0);
    assert_int_equal(apply_stat(&fixture, "a/b").st_gid, 0);
    assert_int_equal(apply_stat(&fixture, "a/b/file").st_mode, S_IFREG | 0666);
    assert_int_equal(apply_stat(&fixture, "a/b/file").st_gid, 5);
}

static void a_parent_that_is_no_directory_is_an_error(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_file(&fixture.tar, "file/below", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "entry file/below");
    assert_content(&fixture, "file", "x");
}

/* 4 */

static void a_whiteout_removes_what_it_names(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "dir/sub/file", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/kept", 0644, "x");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, "dir/.wh.sub", 0, "");
    layer_tar_file(&fixture.tar, "dir/.wh.file", 0, "");
    layer_tar_file(&fixture.tar, "dir/.wh.missing", 0, "");
    layer_tar_file(&fixture.tar, ".wh.nothing", 0, "");
    apply_well(&fixture);
    assert_false(apply_exists(&fixture, "dir/sub"));
    assert_false(apply_exists(&fixture, "dir/file"));
    assert_false(apply_exists(&fixture, "dir/.wh.file"));
    assert_true(apply_exists(&fixture, "dir/kept"));
    assert_int_equal(fixture.result.removed, 2);
}

static void a_whiteout_does_not_follow_links(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "kept/file", 0644, "x");
    layer_tar_symlink(&fixture.tar, "link", "kept");
    layer_tar_file(&fixture.tar, ".wh.link", 0, "");
    apply_well(&fixture);
    assert_false(apply_exists(&fixture, "link"));
    assert_true(apply_exists(&fixture, "kept/file"));
}

static void whiteouts_of_no_valid_name_are_refused(void **state)
{
    static const char *const names[] = {".wh.", ".wh..", ".wh...", "dir/.wh..", "dir/.wh..."};
    APPLY_FIXTURE(fixture, state);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        layer_tar_file(&fixture.tar, names[i], 0, "");
        apply_badly(&fixture, ERROR_INVALID, names[i]);
    }
    layer_tar_file(&fixture.tar, "dir/.wh..wh.x", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/.wh.x/file", 0644, "x");
    apply_well(&fixture);
    assert_false(apply_exists(&fixture, "dir/.wh..wh.x"));
    assert_content(&fixture, "dir/.wh.x/file", "x");
}

static void an_opaque_whiteout_removes_what_is_not_of_this_archive(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "dir/old", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/sub/old", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/gone/old", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/quiet/old", 0644, "x");
    layer_tar_file(&fixture.tar, "beside", 0644, "x");
    apply_well(&fixture);
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/first", 0644, "x");
    layer_tar_dir(&fixture.tar, "dir/sub", 0711);
    layer_tar_dir(&fixture.tar, "dir/quiet", 0711);
    layer_tar_file(&fixture.tar, "dir/sub/first", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/.wh..wh..opq", 0, "");
    layer_tar_file(&fixture.tar, "dir/later", 0644, "x");
    apply_well(&fixture);
    assert_false(apply_exists(&fixture, "dir/old"));
    assert_false(apply_exists(&fixture, "dir/sub/old"));
    assert_false(apply_exists(&fixture, "dir/gone"));
    assert_false(apply_exists(&fixture, "dir/quiet/old"));
    assert_false(apply_exists(&fixture, "dir/.wh..wh..opq"));
    assert_true(apply_exists(&fixture, "dir/first"));
    assert_true(apply_exists(&fixture, "dir/sub/first"));
    assert_true(apply_exists(&fixture, "dir/later"));
    assert_true(apply_exists(&fixture, "beside"));
    assert_int_equal(apply_stat(&fixture, "dir").st_mtim.tv_sec, 1000000);
    assert_int_equal(apply_stat(&fixture, "dir/sub").st_mtim.tv_sec, 1000000);
    assert_int_equal(apply_stat(&fixture, "dir/quiet").st_mtim.tv_sec, 1000000);
}

static void parents_that_were_only_made_go_with_an_opaque_whiteout(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "dir/made/file", 0644, "x");
    layer_tar_file(&fixture.tar, "dir/.wh..wh..opq", 0, "");
    apply_well(&fixture);
    assert_true(apply_exists(&fixture, "dir"));
    assert_false(apply_exists(&fixture, "dir/made"));
}

static void an_opaque_whiteout_of_the_root_empties_it(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "old/file", 0644, "x");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, "new", 0644, "x");
    layer_tar_file(&fixture.tar, ".wh..wh..opq", 0, "");
    apply_well(&fixture);
    assert_false(apply_exists(&fixture, "old"));
    assert_true(apply_exists(&fixture, "new"));
}

static void an_opaque_whiteout_finds_what_was_unpacked_through_a_link(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "usr/lib", 0755);
    layer_tar_symlink(&fixture.tar, "lib", "usr/lib");
    layer_tar_file(&fixture.tar, "lib/new", 0644, "x");
    layer_tar_file(&fixture.tar, "usr/.wh..wh..opq", 0, "");
    apply_well(&fixture);
    assert_true(apply_exists(&fixture, "usr/lib/new"));
}

/* 5 */

static void an_entry_replaces_what_is_there(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "dir-to-file/sub/file", 0644, "x");
    layer_tar_file(&fixture.tar, "file-to-dir", 0644, "x");
    layer_tar_file(&fixture.tar, "file", 0600, "longer than before");
    layer_tar_dir(&fixture.tar, "target", 0755);
    layer_tar_symlink(&fixture.tar, "link-to-dir", "target");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, "dir-to-file", 0644, "now a file");
    layer_tar_dir(&fixture.tar, "file-to-dir", 0711);
    layer_tar_file(&fixture.tar, "file", 0644, "short");
    layer_tar_dir(&fixture.tar, "link-to-dir", 0700);
    apply_well(&fixture);
    assert_content(&fixture, "dir-to-file", "now a file");
    assert_int_equal(apply_stat(&fixture, "file-to-dir").st_mode, S_IFDIR | 0711);
    assert_content(&fixture, "file", "short");
    assert_int_equal(apply_stat(&fixture, "file").st_mode, S_IFREG | 0644);
    assert_int_equal(apply_stat(&fixture, "link-to-dir").st_mode, S_IFDIR | 0700);
    assert_int_equal(apply_stat(&fixture, "target").st_mode, S_IFDIR | 0755);
    assert_int_equal(fixture.result.removed, 4);
}

static void directories_are_merged(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.old", "1");
    layer_tar_dir(&fixture.tar, "dir", 0700);
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    apply_well(&fixture);
    fixture.tar.uid = 3;
    fixture.tar.mtime = 2000000;
    layer_tar_pax_text(&fixture.tar, "SCHILY.xattr.user.new", "2");
    layer_tar_dir(&fixture.tar, "dir", 0751);
    apply_well(&fixture);
    owned(fd_close) int fd = fd_open_dir(fixture.root_fd, "dir");
    char value[2];
    struct stat dir = apply_stat(&fixture, "dir");
    assert_int_equal(dir.st_mode, S_IFDIR | 0751);
    assert_int_equal(dir.st_uid, 3);
    assert_int_equal(dir.st_mtim.tv_sec, 2000000);
    if (volume_has(volume_fixture(state)->kind, VOLUME_XATTRS)) {
        assert_int_equal(fgetxattr(fd, "user.old", value, sizeof value), 1);
        assert_int_equal(fgetxattr(fd, "user.new", value, sizeof value), 1);
    }
    assert_content(&fixture, "dir/file", "x");
    assert_int_equal(fixture.result.removed, 0);
}

static void a_directory_that_becomes_a_link_takes_what_follows_along(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "other", 0755);
    layer_tar_dir(&fixture.tar, "dir", 0755);
    layer_tar_file(&fixture.tar, "dir/first", 0644, "1");
    layer_tar_symlink(&fixture.tar, "dir", "other");
    layer_tar_file(&fixture.tar, "dir/second", 0644, "2");
    layer_tar_file(&fixture.tar, ".wh.dir", 0, "");
    layer_tar_file(&fixture.tar, "dir/third", 0644, "3");
    apply_well(&fixture);
    assert_content(&fixture, "other/second", "2");
    assert_content(&fixture, "dir/third", "3");
    assert_false(apply_exists(&fixture, "other/first"));
    assert_false(apply_exists(&fixture, "other/third"));
}

/* 6 */

static void every_type_is_made(void **state)
{
    APPLY_FIXTURE(fixture, state);
    fixture.without_layer = true; /* that reads, which changes atimes */
    fixture.tar.uid = 1;
    fixture.tar.gid = 2;
    layer_tar_file(&fixture.tar, "file", 0640, "x");
    layer_tar_entry(&fixture.tar, '\0', "old-file", 0604, "", 0);
    layer_tar_entry(&fixture.tar, '\0', "old-dir/", 0705, "", 0);
    layer_tar_dir(&fixture.tar, "dir", 0750);
    layer_tar_symlink(&fixture.tar, "link", "any where");
    layer_tar_device(&fixture.tar, '3', "char", 1, 3);
    layer_tar_device(&fixture.tar, '4', "block", 7, 300);
    layer_tar_entry(&fixture.tar, '6', "fifo", 0622, "", 0);
    apply_well(&fixture);
    static const struct {
        const char *name;
        mode_t mode;
    } expected[] = {{"file", S_IFREG | 0640},    {"old-file", S_IFREG | 0604},
                    {"old-dir", S_IFDIR | 0705}, {"dir", S_IFDIR | 0750},
                    {"link", S_IFLNK | 0777},    {"char", S_IFCHR | 0620},
                    {"block", S_IFBLK | 0620},   {"fifo", S_IFIFO | 0622}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct stat found = apply_stat(&fixture, expected[i].name);
        if (S_ISLNK(expected[i].mode)) /* some file systems have a mode of their own for them */
            found.st_mode |= 0777;
        assert_int_equal(found.st_mode, expected[i].mode);
        assert_int_equal(found.st_uid, 1);
        assert_int_equal(found.st_gid, 2);
        assert_int_equal(found.st_mtim.tv_sec, 1000000);
        assert_int_equal(found.st_atim.tv_sec, 1000000);
    }
    assert_int_equal(apply_stat(&fixture, "char").st_rdev, makedev(1, 3));
    assert_int_equal(apply_stat(&fixture, "block").st_rdev, makedev(7, 300));
    assert_target(&fixture, "link", "any where");
}

static void entries_of_other_types_are_refused(void **state)
{
    APPLY_FIXTURE(fixture, state);
    for (const char *type = "789ADMNSVXIZs"; *type; type++) {
        layer_tar_entry(&fixture.tar, *type, "entry", 0644, "", 0);
        apply_badly(&fixture, ERROR_INVALID, "type 0x");
        assert_false(apply_exists(&fixture, "entry"));
    }
}

static void a_global_header_is_ignored(void **state)
{
    static const char records[] = "17 path=elsewhere\n";
    APPLY_FIXTURE(fixture, state);
    layer_tar_special(&fixture.tar, 'g', "18 path=elsewhere\n", strlen(records));
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, "file", "x");
}

/* 7 */

static void the_mode_is_that_of_the_header_whatever_the_umask(void **state)
{
    APPLY_FIXTURE(fixture, state);
    mode_t mask = umask(077);
    layer_tar_file(&fixture.tar, "file", 0666, "x");
    layer_tar_dir(&fixture.tar, "dir", 0777);
    layer_tar_file(&fixture.tar, "none", 0, "x");
    layer_tar_entry(&fixture.tar, '6', "fifo", 0666, "", 0);
    apply_well(&fixture);
    (void) umask(mask);
    assert_int_equal(apply_stat(&fixture, "file").st_mode & 07777, 0666);
    assert_int_equal(apply_stat(&fixture, "dir").st_mode & 07777, 0777);
    assert_int_equal(apply_stat(&fixture, "none").st_mode & 07777, 0);
    assert_int_equal(apply_stat(&fixture, "fifo").st_mode & 07777, 0666);
}

static void devices_of_numbers_that_there_are_not_are_refused(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_device(&fixture.tar, '3', "major", 0x1000, 0);
    apply_badly(&fixture, ERROR_INVALID, "device 4096:0");
    layer_tar_device(&fixture.tar, '4', "minor", 0, 0x100000);
    apply_badly(&fixture, ERROR_INVALID, "device 0:1048576");
}

/* 8 */

static void a_hard_link_links_below_the_root(void **state)
{
    APPLY_FIXTURE(fixture, state);
    tree_sample_file(fixture.dir_fd, "outside", "x");
    layer_tar_file(&fixture.tar, "usr/lib/file", 0644, "x");
    layer_tar_symlink(&fixture.tar, "lib", "/usr/lib");
    layer_tar_link(&fixture.tar, "link", "usr/lib/file");
    layer_tar_link(&fixture.tar, "absolute", "/lib/file");
    layer_tar_link(&fixture.tar, "up", "../../lib/../usr/lib/file");
    apply_well(&fixture);
    struct stat file = apply_stat(&fixture, "usr/lib/file");
    assert_int_equal(file.st_nlink, 4);
    assert_int_equal(apply_stat(&fixture, "up").st_ino, file.st_ino);
    layer_tar_link(&fixture.tar, "out", "../outside");
    apply_badly(&fixture, ERROR_INVALID, "entry out: the target of the hard link is missing");
    layer_tar_link(&fixture.tar, "out", "missing/file");
    apply_badly(&fixture, ERROR_INVALID, "missing");
    assert_false(apply_exists(&fixture, "missing"));
    layer_tar_link(&fixture.tar, "out", "usr");
    apply_badly(&fixture, ERROR_INVALID, "directory");
    layer_tar_link(&fixture.tar, "out", "..");
    apply_badly(&fixture, ERROR_INVALID, "root");
    layer_tar_link(&fixture.tar, "out", "");
    apply_badly(&fixture, ERROR_INVALID, "root");
}

static void a_hard_link_to_a_symlink_links_the_symlink(void **state)
{
    APPLY_FIXTURE(fixture, state);
    tree_sample_file(fixture.dir_fd, "outside", "x");
    layer_tar_symlink(&fixture.tar, "symlink", "../outside");
    layer_tar_link(&fixture.tar, "link", "symlink");
    apply_well(&fixture);
    assert_target(&fixture, "link", "../outside");
    assert_int_equal(apply_stat(&fixture, "link").st_nlink, 2);
}

static void a_hard_link_gets_its_attributes_too(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0600, "x");
    fixture.tar.uid = 9;
    fixture.tar.mtime = 3000000;
    layer_tar_link(&fixture.tar, "link", "file");
    apply_well(&fixture);
    struct stat file = apply_stat(&fixture, "file");
    assert_int_equal(file.st_mode, S_IFREG | 0644);
    assert_int_equal(file.st_uid, 9);
    assert_int_equal(file.st_mtim.tv_sec, 3000000);
}

static void the_size_of_a_hard_link_means_nothing(void **state)
{
    APPLY_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    layer_tar_entry(&fixture.tar, '1', "link", 0644, "file", 100000);
    layer_tar_entry(&fixture.tar, '5', "dir", 0755, "", 5);
    layer_tar_file(&fixture.tar, "after", 0644, "y");
    apply_well(&fixture);
    assert_content(&fixture, "link", "x");
    assert_content(&fixture, "after", "y");
}

/* 9 */

static void the_target_of_a_symlink_is_kept_as_it_is(void **state)
{
    APPLY_FIXTURE(fixture, state);
    char target[1000];
    memset(target, 'x', sizeof target);
    target[sizeof target - 1] = '\0';
    layer_tar_symlink(&fixture.tar, "strange", "../..//a/./\xff b\n");
    layer_tar_symlink(&fixture.tar, "long", target);
    apply_well(&fixture);
    assert_target(&fixture, "strange", "../..//a/./\xff b\n");
    assert_target(&fixture, "long", target);
    layer_tar_symlink(&fixture.tar, "empty", "");
    apply_badly(&fixture, ERROR_INVALID, "entry empty");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(names_are_confined_to_the_root),
        VOLUME_TEST(an_entry_for_the_root_is_ignored),
        VOLUME_TEST(a_directory_on_the_way_has_our_group),
        VOLUME_TEST(links_on_the_way_lead_to_places_below_the_root),
        VOLUME_TEST(link_targets_are_joined_by_their_text),
        VOLUME_TEST(the_last_component_is_never_followed),
        VOLUME_TEST(links_may_be_many_but_not_without_end),
        VOLUME_TEST(missing_parents_are_made),
        VOLUME_TEST(a_parent_that_is_no_directory_is_an_error),
        VOLUME_TEST(a_whiteout_removes_what_it_names),
        VOLUME_TEST(a_whiteout_does_not_follow_links),
        VOLUME_TEST(whiteouts_of_no_valid_name_are_refused),
        VOLUME_TEST(an_opaque_whiteout_removes_what_is_not_of_this_archive),
        VOLUME_TEST(parents_that_were_only_made_go_with_an_opaque_whiteout),
        VOLUME_TEST(an_opaque_whiteout_of_the_root_empties_it),
        VOLUME_TEST(an_opaque_whiteout_finds_what_was_unpacked_through_a_link),
        VOLUME_TEST(an_entry_replaces_what_is_there),
        VOLUME_TEST(directories_are_merged),
        VOLUME_TEST(a_directory_that_becomes_a_link_takes_what_follows_along),
        VOLUME_TEST(every_type_is_made),
        VOLUME_TEST(entries_of_other_types_are_refused),
        VOLUME_TEST(a_global_header_is_ignored),
        VOLUME_TEST(the_mode_is_that_of_the_header_whatever_the_umask),
        VOLUME_TEST(devices_of_numbers_that_there_are_not_are_refused),
        VOLUME_TEST(a_hard_link_links_below_the_root),
        VOLUME_TEST(a_hard_link_to_a_symlink_links_the_symlink),
        VOLUME_TEST(a_hard_link_gets_its_attributes_too),
        VOLUME_TEST(the_size_of_a_hard_link_means_nothing),
        VOLUME_TEST(the_target_of_a_symlink_is_kept_as_it_is),
    };
    int failed = cmocka_run_group_tests_name("the rules of apply", tests, volume_fixture_xfs,
                                             volume_fixture_unmount);
    apply_fixture_folds = true;
    return failed + cmocka_run_group_tests_name("the rules of apply, as if names folded", tests,
                                                volume_fixture_xfs, volume_fixture_unmount);
}
