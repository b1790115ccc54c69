/* SPDX-License-Identifier: Apache-2.0 */
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
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

/*
 * For each loss of a clone of a directory: a tree that suffers from it is cloned as it should be;
 * without its repair it is not; and without the loss the repair is not needed. So it is the repair
 * that saves the result, and nothing else.
 */

static void make_links(int dirfd)
{
    fixture_make_file(dirfd, "one", 0644);
    assert_int_equal(linkat(dirfd, "one", dirfd, "dir/two", 0), 0);
}

static void make_locked_links(int dirfd)
{
    make_links(dirfd);
    fixture_set_flags(dirfd, "one", UF_IMMUTABLE);
}

static void make_set_id(int dirfd)
{
    fixture_make_file(dirfd, "dir/set-id", 06755);
}

static void make_acl_of_file(int dirfd)
{
    fixture_make_file(dirfd, "dir/acl", 0644);
    fixture_set_acl(dirfd, "dir/acl");
}

static void make_acl_of_dir(int dirfd)
{
    fixture_set_acl(dirfd, "dir");
}

static void make_times(int dirfd)
{
    const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = 1000000000}};
    assert_int_equal(utimensat(dirfd, "dir", times, 0), 0);
}

static const struct sample {
    const char *name;
    void (*make)(int dirfd);
    unsigned losses;
    unsigned repairs; /* FIXUP_... */
} samples[] = {
    {"links", make_links, LOSS_TREE_LINKS, FIXUP_LINK},
    {"locked links", make_locked_links, LOSS_TREE_LINKS,
     FIXUP_LINK | FIXUP_LOCKED | FIXUP_ATTRIBUTES},
    {"set-id bits", make_set_id, LOSS_TREE_SET_ID, FIXUP_ATTRIBUTES},
    {"ACL of a file", make_acl_of_file, LOSS_TREE_ACLS, FIXUP_ATTRIBUTES | FIXUP_ACL},
    {"ACL of a directory", make_acl_of_dir, LOSS_TREE_ACLS, FIXUP_ACL},
    {"times", make_times, LOSS_TREE_TIMES, FIXUP_DIRECTORY},
};

enum { SAMPLES = sizeof samples / sizeof samples[0] };

/* The root's own times are not what is tested. */
static void make_tree(int dirfd, const struct sample *sample)
{
    owned(fd_close) int fd = fd_make_dir(dirfd, "origin", 0755, NULL);
    assert_int_equal(mkdirat(fd, "dir", 0755), 0);
    fixture_make_file(fd, "dir/file", 0644);
    sample->make(fd);
}

/* Takes repairs out of a list, and directories but for the root's. */
static void drop(struct path_list *list, unsigned repairs)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct path_item item = list->items[i];
        item.what &= ~(item.path[0] ? repairs : repairs & ~(unsigned) FIXUP_DIRECTORY);
        if (item.what != 0)
            list->items[kept++] = item;
    }
    list->count = kept;
}

/* Whether a clone with this list is equal to its origin; false also if it could not be made. */
static bool clones_well(int dirfd, const struct path_list *list)
{
    struct error error = {0};
    struct tree_clone_result result;
    const struct tree_clone_options options = {.fixups = list};
    owned(mem_free) char *difference = NULL;
    unsigned before = darwin_directories_cloned();
    int code = tree_clone(dirfd, "origin", dirfd, "clone", &options, &result, &error);
    assert_int_equal(darwin_directories_cloned(), before + 1);
    int differs =
        code == 0 ? tree_compare(dirfd, "origin", dirfd, "clone", &difference, &error) : 1;
    assert_in_range(differs, 0, 1);
    assert_int_equal(tree_remove(dirfd, "clone", NULL, NULL), 0);
    return differs == 0;
}

static void run_sample(int dirfd, const struct sample *sample)
{
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    make_tree(dirfd, sample);
    assert_int_equal(fixups_scan(&list, dirfd, "origin", NULL, NULL), 0);
    if (!clones_well(dirfd, &list))
        fail_msg("%s: not repaired", sample->name);
    drop(&list, sample->repairs);
    if (clones_well(dirfd, &list))
        fail_msg("%s: equal without its repair", sample->name);
    darwin_losses_set(sample->losses, false);
    if (!clones_well(dirfd, &list))
        fail_msg("%s: not equal without the loss", sample->name);
    darwin_losses_reset();
    assert_int_equal(tree_remove(dirfd, "origin", NULL, NULL), 0);
}

static void each_repair_is_what_saves_the_result(void **state)
{
    for (size_t i = 0; i < SAMPLES; i++)
        run_sample(volume_fixture(state)->fd, &samples[i]);
}

/* A file that is cloned alone has its set-id bits and its ACL, too; there is no list then. */
static void a_file_alone_is_repaired(void **state)
{
    static const uint32_t flags[] = {UF_HIDDEN, UF_NODUMP, UF_IMMUTABLE, UF_APPEND, SF_ARCHIVED};
    int dirfd = volume_fixture(state)->fd;
    struct tree_clone_result result;
    const struct tree_clone_options options = {0};
    owned(mem_free) char *difference = NULL;
    make_tree(dirfd, &samples[2]);
    fixture_make_file(dirfd, "origin/acl", 0640);
    fixture_set_acl(dirfd, "origin/acl");
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        char name[] = {'o', 'r', 'i', 'g', 'i', 'n', '/', (char) ('0' + i), '\0'};
        fixture_make_file(dirfd, name, 04711);
        fixture_set_flags(dirfd, name, flags[i]);
    }
    unsigned before = darwin_directories_cloned();
    assert_int_equal(tree_clone(dirfd, "origin", dirfd, "clone", &options, &result, NULL), 0);
    assert_int_equal(darwin_directories_cloned(), before);
    assert_int_equal(tree_compare(dirfd, "origin", dirfd, "clone", &difference, NULL), 0);
    for (size_t i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        char name[] = {'c', 'l', 'o', 'n', 'e', '/', (char) ('0' + i), '\0'};
        struct stat found;
        assert_int_equal(fstatat(dirfd, name, &found, 0), 0);
        assert_int_equal(found.st_flags, flags[i]);
        assert_int_equal(found.st_mode & 07777, 04711);
    }
}

/* Of requests that wait for a thread, many may be given up. */
static void a_cancelled_clone_does_not_begin(void **state)
{
    int dirfd = volume_fixture(state)->fd;
    struct cancel cancel = {0};
    struct error error = {0};
    struct tree_clone_result result;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    make_tree(dirfd, &samples[0]);
    assert_int_equal(fixups_scan(&list, dirfd, "origin", NULL, NULL), 0);
    const struct tree_clone_options options = {.fixups = &list, .cancel = &cancel};
    unsigned before = darwin_directories_cloned();
    cancel_request(&cancel);
    assert_int_equal(tree_clone(dirfd, "origin", dirfd, "clone", &options, &result, &error),
                     ERROR_CANCELLED);
    assert_int_equal(darwin_directories_cloned(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LOSSES_TEST(each_repair_is_what_saves_the_result),
        LOSSES_TEST(a_file_alone_is_repaired),
        LOSSES_TEST(a_cancelled_clone_does_not_begin),
    };
    return cmocka_run_group_tests_name("repairs on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("repairs on Btrfs", tests, volume_fixture_btrfs,
                                       volume_fixture_unmount);
}
