/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/clonefile.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/darwin/fixture.h"
#include "tests/darwin/losses.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

/*
 * What the emulated calls themselves do: the losses are there, each can be switched off, and then
 * what it took away is there. So tests of ours that pass with a loss, and need a repair for it, do
 * not pass by accident.
 */

static bool has_acl(int dirfd, const char *path)
{
    owned(fd_close) int fd = fixture_open(dirfd, path);
    acl_t acl = acl_get_fd_np(fd, ACL_TYPE_EXTENDED);
    if (acl)
        acl_free(acl);
    else
        assert_int_equal(errno, ENOENT);
    return acl != NULL;
}

static mode_t mode_of(int dirfd, const char *path)
{
    return fixture_stat(dirfd, path).st_mode & 07777;
}

static bool exists(int dirfd, const char *path)
{
    return faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void set_xattr(int dirfd, const char *path, const char *name)
{
    owned(fd_close) int fd = fixture_open(dirfd, path);
    assert_int_equal(fsetxattr(fd, name, path, strlen(path), 0, 0), 0);
}

static bool has_xattr(int dirfd, const char *path, const char *name)
{
    owned(fd_close) int fd = fixture_open(dirfd, path);
    return fgetxattr(fd, name, NULL, 0, 0, 0) >= 0;
}

/* A clone of what is at path, as "clone", without the losses given. */
static void clone_without(int dirfd, const char *path, unsigned losses, uint32_t flags)
{
    darwin_losses_set(losses, false);
    assert_int_equal(clonefileat(dirfd, path, dirfd, "clone", CLONE_NOFOLLOW | flags), 0);
    darwin_losses_reset();
}

static void remove_clone(int dirfd)
{
    assert_int_equal(tree_remove(dirfd, "clone", NULL, NULL), 0);
}

/* tree/: one, two (the same file), set-id, acl, dir/ (an ACL, below: file), empty/, link */
static void make_tree(int dirfd)
{
    assert_int_equal(mkdirat(dirfd, "tree", 0755), 0);
    fixture_make_file(dirfd, "tree/one", 0644);
    assert_int_equal(linkat(dirfd, "tree/one", dirfd, "tree/two", 0), 0);
    fixture_make_file(dirfd, "tree/set-id", 06755);
    fixture_make_file(dirfd, "tree/acl", 0644);
    fixture_set_acl(dirfd, "tree/acl");
    assert_int_equal(mkdirat(dirfd, "tree/dir", 0755), 0);
    fixture_make_file(dirfd, "tree/dir/file", 0600);
    fixture_set_acl(dirfd, "tree/dir");
    set_xattr(dirfd, "tree/dir", "com.example.of-the-dir");
    assert_int_equal(fchmodat(dirfd, "tree/dir", 02775, 0), 0);
    assert_int_equal(mkdirat(dirfd, "tree/empty", 0700), 0);
    assert_int_equal(symlinkat("nowhere", dirfd, "tree/link"), 0);
    set_xattr(dirfd, "tree/link", "user.of-the-link");
    assert_int_equal(fchownat(dirfd, "tree/link", 12, 34, AT_SYMLINK_NOFOLLOW), 0);
    fixture_set_acl(dirfd, "tree");
    static const char *const names[] = {"tree/link", "tree/dir/file", "tree/dir", "tree/empty",
                                        "tree"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        fixture_set_time(dirfd, names[i], 1000000000 + (long) i);
}

static void a_file_clone_has_what_its_origin_has(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    fixture_make_file(dirfd, "file", 01640);
    set_xattr(dirfd, "file", "user.x");
    set_xattr(dirfd, "file", "com.example.x");
    assert_int_equal(fchownat(dirfd, "file", 12, 34, 0), 0);
    fixture_set_time(dirfd, "file", 1000000000);
    clone_without(dirfd, "file", 0, 0);
    struct stat clone = fixture_stat(dirfd, "clone");
    struct stat origin = fixture_stat(dirfd, "file");
    assert_int_equal(clone.st_mode, S_IFREG | 01640);
    assert_int_equal(clone.st_uid, 12);
    assert_int_equal(clone.st_gid, 34);
    assert_int_equal(clone.st_size, 4);
    assert_int_equal(clone.st_mtimespec.tv_sec, 1000000000);
    assert_int_equal(clone.st_mtimespec.tv_nsec, 2);
    assert_int_equal(clone.st_birthtimespec.tv_sec, origin.st_birthtimespec.tv_sec);
    assert_true(has_xattr(dirfd, "clone", "user.x"));
    assert_true(has_xattr(dirfd, "clone", "com.example.x"));
    assert_int_equal(clonefileat(dirfd, "file", dirfd, "clone", 0), -1);
    assert_int_equal(errno, EEXIST);
}

static void a_file_clone_loses_set_id_bits(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    fixture_make_file(dirfd, "file", 06755);
    clone_without(dirfd, "file", 0, 0);
    assert_int_equal(mode_of(dirfd, "clone"), 0755);
    remove_clone(dirfd);
    clone_without(dirfd, "file", LOSS_CLONE_SET_ID, 0);
    assert_int_equal(mode_of(dirfd, "clone"), 06755);
}

static void a_file_clone_has_its_acl_if_it_is_asked_for(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    fixture_make_file(dirfd, "file", 0644);
    fixture_set_acl(dirfd, "file");
    clone_without(dirfd, "file", 0, 0);
    assert_false(has_acl(dirfd, "clone"));
    remove_clone(dirfd);
    clone_without(dirfd, "file", 0, CLONE_ACL);
    assert_true(has_acl(dirfd, "clone"));
    remove_clone(dirfd);
    clone_without(dirfd, "file", LOSS_CLONE_ACL, 0);
    assert_true(has_acl(dirfd, "clone"));
}

static void flags_come_with_a_file_clone_and_forbid(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    fixture_make_file(dirfd, "file", 0644);
    fixture_set_flags(dirfd, "file", UF_IMMUTABLE | SF_NOUNLINK | UF_HIDDEN);
    clone_without(dirfd, "file", 0, 0);
    assert_int_equal(fixture_stat(dirfd, "clone").st_flags, UF_IMMUTABLE | SF_NOUNLINK | UF_HIDDEN);
    assert_int_equal(fchmodat(dirfd, "clone", 0600, 0), -1);
    assert_int_equal(errno, EPERM);
    fixture_set_flags(dirfd, "clone", SF_NOUNLINK);
    assert_int_equal(fchmodat(dirfd, "clone", 0600, 0), 0);
    assert_int_equal(unlinkat(dirfd, "clone", 0), -1);
    assert_int_equal(errno, EPERM);
    fixture_set_flags(dirfd, "clone", 0);
    assert_int_equal(unlinkat(dirfd, "clone", 0), 0);
    clone_without(dirfd, "file", LOSS_CLONE_FLAGS, 0);
    assert_int_equal(fixture_stat(dirfd, "clone").st_flags, 0);
}

static void special_files_are_not_cloned(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    assert_int_equal(mkfifoat(dirfd, "fifo", 0600), 0);
    assert_int_equal(clonefileat(dirfd, "fifo", dirfd, "clone", 0), -1);
    assert_int_equal(errno, EINVAL);
    fixture_make_file(dirfd, "file", 0600);
    assert_int_equal(clonefileat(dirfd, "file", dirfd, "clone", 0x8), -1);
    assert_int_equal(errno, EINVAL);
    owned(fd_close) int fd = openat(dirfd, "file", O_WRONLY | O_CLOEXEC);
    assert_int_equal(fclonefileat(fd, dirfd, "clone", 0), -1);
    assert_int_equal(errno, EBADF);
    assert_false(exists(dirfd, "clone"));
}

static void a_directory_clone_has_what_its_origin_has(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    clone_without(dirfd, "tree", 0, 0);
    assert_int_equal(mode_of(dirfd, "clone/dir"), 02775);
    assert_int_equal(mode_of(dirfd, "clone/empty"), 0700);
    assert_true(has_xattr(dirfd, "clone/dir", "com.example.of-the-dir"));
    assert_true(has_xattr(dirfd, "clone/link", "user.of-the-link"));
    assert_int_equal(fixture_stat(dirfd, "clone/link").st_uid, 12);
    assert_int_equal(fixture_stat(dirfd, "clone/link").st_mtimespec.tv_sec, 1000000000);
    assert_int_equal(fixture_stat(dirfd, "clone/dir/file").st_mtimespec.tv_sec, 1000000001);
    assert_int_equal(fixture_stat(dirfd, "clone/dir/file").st_size, strlen("tree/dir/file"));
    assert_int_equal(fixture_stat(dirfd, "clone/empty").st_mtimespec.tv_sec, 1000000003);
}

static void a_directory_clone_splits_hard_links(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    clone_without(dirfd, "tree", 0, 0);
    assert_int_equal(fixture_stat(dirfd, "clone/one").st_nlink, 1);
    assert_true(fixture_stat(dirfd, "clone/one").st_ino != fixture_stat(dirfd, "clone/two").st_ino);
    remove_clone(dirfd);
    clone_without(dirfd, "tree", LOSS_TREE_LINKS, 0);
    assert_int_equal(fixture_stat(dirfd, "clone/one").st_nlink, 2);
    assert_true(fixture_stat(dirfd, "clone/one").st_ino == fixture_stat(dirfd, "clone/two").st_ino);
}

static void a_directory_clone_loses_set_id_bits(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    clone_without(dirfd, "tree", 0, 0);
    assert_int_equal(mode_of(dirfd, "clone/set-id"), 0755);
    remove_clone(dirfd);
    clone_without(dirfd, "tree", LOSS_TREE_SET_ID, 0);
    assert_int_equal(mode_of(dirfd, "clone/set-id"), 06755);
}

static void a_directory_clone_loses_times_of_directories(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    clone_without(dirfd, "tree", 0, 0);
    assert_true(fixture_stat(dirfd, "clone").st_mtimespec.tv_sec > 1500000000);
    assert_true(fixture_stat(dirfd, "clone/dir").st_mtimespec.tv_sec > 1500000000);
    assert_int_equal(fixture_stat(dirfd, "clone/empty").st_mtimespec.tv_sec, 1000000003);
    remove_clone(dirfd);
    clone_without(dirfd, "tree", LOSS_TREE_TIMES, 0);
    assert_int_equal(fixture_stat(dirfd, "clone").st_mtimespec.tv_sec, 1000000004);
    assert_int_equal(fixture_stat(dirfd, "clone/dir").st_mtimespec.tv_sec, 1000000002);
}

static void a_directory_clone_loses_acls_below_its_root(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    clone_without(dirfd, "tree", 0, 0);
    assert_false(has_acl(dirfd, "clone"));
    remove_clone(dirfd);
    clone_without(dirfd, "tree", 0, CLONE_ACL);
    assert_true(has_acl(dirfd, "clone"));
    assert_false(has_acl(dirfd, "clone/dir"));
    assert_false(has_acl(dirfd, "clone/acl"));
    remove_clone(dirfd);
    clone_without(dirfd, "tree", LOSS_TREE_ACLS, CLONE_ACL);
    assert_true(has_acl(dirfd, "clone/dir"));
    assert_true(has_acl(dirfd, "clone/acl"));
}

static void a_directory_clone_with_special_files_fails_and_leaves_nothing(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    assert_int_equal(mkfifoat(dirfd, "tree/dir/fifo", 0600), 0);
    fixture_set_flags(dirfd, "tree/one", UF_IMMUTABLE);
    assert_int_equal(clonefileat(dirfd, "tree", dirfd, "clone", CLONE_NOFOLLOW), -1);
    assert_int_equal(errno, EINVAL);
    assert_false(exists(dirfd, "clone"));
    clone_without(dirfd, "tree", LOSS_TREE_SPECIAL, 0);
    assert_true(exists(dirfd, "clone/dir/fifo"));
    remove_clone(dirfd);
    darwin_losses_set(LOSS_TREE_SPECIAL, false);
    darwin_losses_set(LOSS_TREE_SPECIAL_DROPPED, true);
    assert_int_equal(clonefileat(dirfd, "tree", dirfd, "clone", CLONE_NOFOLLOW), 0);
    assert_false(exists(dirfd, "clone/dir/fifo"));
    assert_true(exists(dirfd, "clone/dir/file"));
}

static void flags_come_with_a_directory_clone(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    fixture_set_flags(dirfd, "tree/dir/file", UF_APPEND);
    fixture_set_flags(dirfd, "tree/dir", UF_IMMUTABLE);
    clone_without(dirfd, "tree", 0, 0);
    assert_int_equal(fixture_stat(dirfd, "clone/dir").st_flags, UF_IMMUTABLE);
    assert_int_equal(fixture_stat(dirfd, "clone/dir/file").st_flags, UF_APPEND);
    assert_int_equal(unlinkat(dirfd, "clone/dir/file", 0), -1);
    assert_int_equal(errno, EPERM);
}

static void where_directories_cannot_be_cloned_files_still_can(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    darwin_losses_set(LOSS_TREE, true);
    assert_int_equal(clonefileat(dirfd, "tree", dirfd, "clone", CLONE_NOFOLLOW), -1);
    assert_int_equal(errno, ENOTSUP);
    assert_int_equal(clonefileat(dirfd, "tree/one", dirfd, "clone", CLONE_NOFOLLOW), 0);
}

static void others_clone_nothing(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    assert_int_equal(clonefileat(dirfd, "tree", dirfd, "clone", CLONE_NOFOLLOW), -1);
    assert_int_equal(errno, ENOTSUP);
    assert_int_equal(clonefileat(dirfd, "tree/one", dirfd, "clone", CLONE_NOFOLLOW), -1);
    assert_int_equal(errno, ENOTSUP);
    assert_int_equal(clonefileat(dirfd, "tree/link", dirfd, "clone", CLONE_NOFOLLOW), -1);
    assert_int_equal(errno, ENOTSUP);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOSSES_TEST(a_file_clone_has_what_its_origin_has),
        LOSSES_TEST(a_file_clone_loses_set_id_bits),
        LOSSES_TEST(a_file_clone_has_its_acl_if_it_is_asked_for),
        LOSSES_TEST(flags_come_with_a_file_clone_and_forbid),
        LOSSES_TEST(special_files_are_not_cloned),
        LOSSES_TEST(a_directory_clone_has_what_its_origin_has),
        LOSSES_TEST(a_directory_clone_splits_hard_links),
        LOSSES_TEST(a_directory_clone_loses_set_id_bits),
        LOSSES_TEST(a_directory_clone_loses_times_of_directories),
        LOSSES_TEST(a_directory_clone_loses_acls_below_its_root),
        LOSSES_TEST(a_directory_clone_with_special_files_fails_and_leaves_nothing),
        LOSSES_TEST(flags_come_with_a_directory_clone),
        LOSSES_TEST(where_directories_cannot_be_cloned_files_still_can),
    };
    const struct CMUnitTest elsewhere[] = {LOSSES_TEST(others_clone_nothing)};
    return cmocka_run_group_tests_name("emulated clones on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("emulated clones on Btrfs", tests, volume_fixture_btrfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("emulated clones on ext4", elsewhere, volume_fixture_ext4,
                                       volume_fixture_unmount);
}
