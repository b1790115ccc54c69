/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/darwin/fixture.h"
#include "tests/darwin/losses.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/clone.h"
#include "tree/fixups.h"
#include "tree/tree.h"

/* Clones of whole directories by one call, and the repair of what that call loses. */

/* origin/: linked, set-id, acl, link, dir/{linked, deep/{linked, file}}, empty/; no special file */
static void make_tree(int dirfd)
{
    tree_sample_dir(dirfd, "origin");
    tree_sample_dir(dirfd, "origin/dir");
    tree_sample_dir(dirfd, "origin/dir/deep");
    tree_sample_dir(dirfd, "origin/empty");
    tree_sample_file(dirfd, "origin/linked", "one file, three names");
    assert_int_equal(linkat(dirfd, "origin/linked", dirfd, "origin/dir/linked", 0), 0);
    assert_int_equal(linkat(dirfd, "origin/linked", dirfd, "origin/dir/deep/linked", 0), 0);
    tree_sample_file(dirfd, "origin/dir/deep/file", "deep");
    tree_sample_file(dirfd, "origin/set-id", "set-id");
    assert_int_equal(fchmodat(dirfd, "origin/set-id", 06711, 0), 0);
    tree_sample_file(dirfd, "origin/acl", "acl");
    fixture_set_acl(dirfd, "origin/acl");
    fixture_set_acl(dirfd, "origin/dir/deep");
    assert_int_equal(symlinkat("nowhere", dirfd, "origin/link"), 0);
    static const char *const names[] = {"origin/dir/deep", "origin/dir", "origin/empty", "origin"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        fixture_set_time(dirfd, names[i], 1000000000 + (long) i);
}

/* "" if the two are equal. */
static char *difference(int dirfd, const char *a, const char *b)
{
    char *text = NULL;
    struct error error = {0};
    int result = tree_compare(dirfd, a, dirfd, b, &text, &error);
    if (result < 0)
        fail_msg("%s", error.message);
    return result > 0 ? text : mem_strdup("");
}

static void assert_equal_trees(int dirfd, const char *a, const char *b)
{
    owned(mem_free) char *text = difference(dirfd, a, b);
    assert_string_equal(text, "");
}

static struct tree_clone_result clone_by_list(int dirfd, const struct path_list *list,
                                              const char *name)
{
    struct error error = {0};
    struct tree_clone_result result = {0};
    const struct tree_clone_options options = {.fixups = list, .threads = 3};
    if (tree_clone(dirfd, "origin", dirfd, name, &options, &result, &error) != 0)
        fail_msg("%s", error.message);
    return result;
}

/* Scans, clones and compares; false if no directory was cloned as a whole. */
static struct tree_clone_result clone_origin(int dirfd)
{
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    assert_int_equal(fixups_scan(&list, dirfd, "origin", NULL, NULL), 0);
    struct tree_clone_result result = clone_by_list(dirfd, &list, "clone");
    assert_equal_trees(dirfd, "origin", "clone");
    assert_equal_trees(dirfd, "clone", "origin");
    assert_int_equal(result.bytes_copied, 0);
    return result;
}

static bool raw_clone_is_equal(int dirfd)
{
    assert_int_equal(clone_whole_dir(dirfd, "origin", dirfd, "raw"), 1);
    owned(mem_free) char *text = difference(dirfd, "origin", "raw");
    assert_int_equal(tree_remove(dirfd, "raw", NULL, NULL), 0);
    return text[0] == '\0';
}

static void a_repaired_clone_equals_its_origin(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    unsigned before = darwin_directories_cloned();
    make_tree(dirfd);
    struct tree_clone_result result = clone_origin(dirfd);
    assert_int_equal(result.entries, 11);
    assert_int_equal(darwin_directories_cloned() - before, 1);
    struct stat linked;
    assert_int_equal(fstatat(dirfd, "clone/dir/deep/linked", &linked, 0), 0);
    assert_int_equal(linked.st_nlink, 3);
}

/* Without the repair the result would be another one. */
static void each_loss_is_repaired(void **state)
{
    static const unsigned losses[] = {LOSS_TREE_LINKS, LOSS_TREE_SET_ID, LOSS_TREE_TIMES,
                                      LOSS_TREE_ACLS};
    static const unsigned all =
        LOSS_TREE_LINKS | LOSS_TREE_SET_ID | LOSS_TREE_TIMES | LOSS_TREE_ACLS | LOSS_CLONE_SET_ID;
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    darwin_losses_set(all, false);
    assert_true(raw_clone_is_equal(dirfd));
    for (size_t i = 0; i < sizeof losses / sizeof losses[0]; i++) {
        darwin_losses_set(all, false);
        darwin_losses_set(losses[i], true);
        assert_false(raw_clone_is_equal(dirfd));
        (void) clone_origin(dirfd);
        assert_int_equal(tree_remove(dirfd, "clone", NULL, NULL), 0);
    }
}

static void what_has_special_files_is_cloned_in_parts(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    unsigned before = darwin_directories_cloned();
    make_tree(dirfd);
    assert_int_equal(mkfifoat(dirfd, "origin/dir/fifo", 0640), 0);
    tree_sample_dir(dirfd, "origin/other");
    tree_sample_file(dirfd, "origin/other/file", "other");
    fixture_set_time(dirfd, "origin/dir", 1000000007);
    fixture_set_time(dirfd, "origin", 1000000008);
    (void) clone_origin(dirfd);
    assert_int_equal(darwin_directories_cloned() - before,
                     2); /* dir/deep and other; empty ones are made */
}

static void a_sample_of_everything_is_cloned(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    unsigned before = darwin_directories_cloned();
    tree_sample_make(dirfd, "origin");
    (void) clone_origin(dirfd);
    assert_true(darwin_directories_cloned() > before);
}

/* What is locked forbids the repair of itself, of what is in it, and a link to it. */
static void locked_files_and_directories_are_repaired(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    fixture_set_flags(dirfd, "origin/linked", UF_IMMUTABLE | UF_HIDDEN);
    fixture_set_flags(dirfd, "origin/set-id", SF_APPEND);
    fixture_set_flags(dirfd, "origin/acl", UF_APPEND);
    fixture_set_flags(dirfd, "origin/dir/deep", UF_IMMUTABLE);
    fixture_set_flags(dirfd, "origin/dir", SF_IMMUTABLE | UF_HIDDEN);
    fixture_set_flags(dirfd, "origin", UF_IMMUTABLE);
    (void) clone_origin(dirfd);
    static const struct {
        const char *path;
        uint32_t flags;
    } expected[] = {{"clone/linked", UF_IMMUTABLE | UF_HIDDEN},
                    {"clone/dir/deep/linked", UF_IMMUTABLE | UF_HIDDEN},
                    {"clone/set-id", SF_APPEND},
                    {"clone/acl", UF_APPEND},
                    {"clone/dir/deep", UF_IMMUTABLE},
                    {"clone/dir", SF_IMMUTABLE | UF_HIDDEN}};
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++) {
        struct stat found;
        assert_int_equal(fstatat(dirfd, expected[i].path, &found, 0), 0);
        assert_int_equal(found.st_flags, expected[i].flags);
    }
}

static void where_directories_are_not_cloned_entries_are(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    make_tree(dirfd);
    darwin_losses_set(LOSS_TREE, true);
    unsigned before = darwin_directories_cloned();
    (void) clone_origin(dirfd);
    assert_int_equal(darwin_directories_cloned(), before);
}

static void a_list_of_another_tree_is_noticed(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct error error = {0};
    struct tree_clone_result result;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    make_tree(dirfd);
    assert_int_equal(fixups_scan(&list, dirfd, "origin", NULL, NULL), 0);
    assert_int_equal(unlinkat(dirfd, "origin/set-id", 0), 0);
    const struct tree_clone_options options = {.fixups = &list};
    assert_int_equal(tree_clone(dirfd, "origin", dirfd, "clone", &options, &result, &error),
                     ERROR_CORRUPT);
    assert_string_equal(error.message, "set-id: the fix-up list is not of this tree");
}

static void a_taken_name_is_an_error(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct error error = {0};
    struct tree_clone_result result;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    make_tree(dirfd);
    tree_sample_dir(dirfd, "clone");
    assert_int_equal(fixups_scan(&list, dirfd, "origin", NULL, NULL), 0);
    const struct tree_clone_options options = {.fixups = &list};
    assert_int_equal(tree_clone(dirfd, "origin", dirfd, "clone", &options, &result, &error),
                     ERROR_EXISTS);
}

static void the_probe_sees_it(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct tree_abilities abilities = {0};
    assert_int_equal(tree_probe(dirfd, &abilities, NULL), 0);
    assert_true(abilities.clones_directories);
    assert_true(abilities.tells_shared_data);
    darwin_losses_set(LOSS_TREE, true);
    assert_int_equal(tree_probe(dirfd, &abilities, NULL), 0);
    assert_false(abilities.clones_directories);
    assert_int_equal(abilities.method, TREE_CLONE_REFLINK);
}

/* No list has the birth times of files: a system that loses them clones entry by entry. */
static void the_probe_sees_a_loss_that_no_list_has(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct tree_abilities abilities = {0};
    darwin_losses_set(LOSS_TREE_BIRTHS, true);
    assert_int_equal(tree_probe(dirfd, &abilities, NULL), 0);
    assert_false(abilities.clones_directories);
    assert_int_equal(abilities.method, TREE_CLONE_REFLINK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOSSES_TEST(a_repaired_clone_equals_its_origin),
        LOSSES_TEST(each_loss_is_repaired),
        LOSSES_TEST(what_has_special_files_is_cloned_in_parts),
        LOSSES_TEST(a_sample_of_everything_is_cloned),
        LOSSES_TEST(locked_files_and_directories_are_repaired),
        LOSSES_TEST(where_directories_are_not_cloned_entries_are),
        LOSSES_TEST(a_list_of_another_tree_is_noticed),
        LOSSES_TEST(a_taken_name_is_an_error),
        LOSSES_TEST(the_probe_sees_it),
        LOSSES_TEST(the_probe_sees_a_loss_that_no_list_has),
    };
    return cmocka_run_group_tests_name("whole clones on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("whole clones on Btrfs", tests, volume_fixture_btrfs,
                                       volume_fixture_unmount);
}
