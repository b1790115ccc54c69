/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/volume_fixture.h"
#include "tree/inventory.h"
#include "tree/layer.h"
#include "tree/tree.h"

enum { D = INVENTORY_DIRECTORY, C = INVENTORY_CHANGED };

static void add(struct path_list *list, const char *path, unsigned what, uint64_t inode)
{
    const struct path_item item = {.path = path, .what = what, .group = inode};
    assert_true(path_list_add(list, &item));
}

struct expected {
    const char *path;
    unsigned what;
};

static void expect(const struct path_list *before, const struct path_list *now,
                   const struct expected *wanted, size_t count)
{
    owned(path_list_clear) struct path_list changes = PATH_LIST_NULL;
    assert_true(inventory_changes(before, now, &changes));
    assert_int_equal(changes.count, count);
    for (size_t i = 0; i < count; i++) {
        assert_string_equal(changes.items[i].path, wanted[i].path);
        assert_int_equal(changes.items[i].what, wanted[i].what);
    }
}

#define EXPECT(before, now, ...)                                                                   \
    do {                                                                                           \
        const struct expected wanted_[] = {__VA_ARGS__};                                           \
        expect(before, now, wanted_, sizeof wanted_ / sizeof *wanted_);                            \
    } while (0)

static void what_was_made_changed_and_removed_is_found(void **state)
{
    (void) state;
    owned(path_list_clear) struct path_list before = PATH_LIST_NULL;
    owned(path_list_clear) struct path_list now = PATH_LIST_NULL;
    add(&before, "", D, 1);
    add(&before, "changed", 0, 2);
    add(&before, "gone", D, 3);
    add(&before, "gone/a", 0, 4);
    add(&before, "gone/b", D, 5);
    add(&before, "gone/b/c", 0, 6);
    add(&before, "same", 0, 7);
    add(&now, "", D, 1);
    add(&now, "changed", C, 2);
    add(&now, "made", D | C, 8);
    add(&now, "made/moved", 0, 4); /* its times tell nothing */
    add(&now, "same", 0, 7);
    EXPECT(&before, &now, {"", 0}, {"changed", LAYER_REMOVED}, {"gone", LAYER_REMOVED}, {"made", 0},
           {"made/moved", 0});
}

/* Its directory gets another time when it is made again. */
static void the_directory_of_what_has_changed_is_named(void **state)
{
    (void) state;
    owned(path_list_clear) struct path_list before = PATH_LIST_NULL;
    owned(path_list_clear) struct path_list now = PATH_LIST_NULL;
    add(&before, "", D, 1);
    add(&before, "a", D, 2);
    add(&before, "a/b", D, 3);
    add(&before, "a/b/c", 0, 4);
    add(&now, "", D, 1);
    add(&now, "a", D, 2);
    add(&now, "a/b", D, 3);
    add(&now, "a/b/c", C, 4);
    EXPECT(&before, &now, {"a/b", 0}, {"a/b/c", LAYER_REMOVED});
}

/* Exchanged directories keep all their times. */
static void another_inode_replaces_all_that_was_below(void **state)
{
    (void) state;
    owned(path_list_clear) struct path_list before = PATH_LIST_NULL;
    owned(path_list_clear) struct path_list now = PATH_LIST_NULL;
    add(&before, "", D, 1);
    add(&before, "x", D, 2);
    add(&before, "x/a", 0, 3);
    add(&before, "x/b", 0, 4);
    add(&before, "y", D, 5);
    add(&now, "", D, 1);
    add(&now, "x", D, 5);
    add(&now, "x/b", 0, 4);
    add(&now, "y", D, 2);
    add(&now, "y/a", 0, 3);
    EXPECT(&before, &now, {"", 0}, {"x", LAYER_REMOVED}, {"x/b", 0}, {"y", LAYER_REMOVED},
           {"y/a", 0});
}

static void a_number_used_again_for_another_kind_is_another_inode(void **state)
{
    (void) state;
    owned(path_list_clear) struct path_list before = PATH_LIST_NULL;
    owned(path_list_clear) struct path_list now = PATH_LIST_NULL;
    add(&before, "", D, 1);
    add(&before, "a", 0, 2);
    add(&before, "b", D, 3);
    add(&now, "", D, 1);
    add(&now, "a", D | C, 2);
    add(&now, "b", C, 3);
    EXPECT(&before, &now, {"", 0}, {"a", LAYER_REMOVED}, {"b", LAYER_REMOVED});
}

static void make_file(int dirfd, const char *name)
{
    owned(fd_close) int fd = openat(dirfd, name, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
}

static void a_tree_is_taken_with_what_has_changed(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct timestamp time = {0};
    assert_int_equal(mkdirat(fixture->fd, "d", 0700), 0);
    make_file(fixture->fd, "d/old");
    (void) usleep(20000);
    assert_int_equal(tree_mark_time(fixture->fd, &time, NULL), 0);
    owned(path_list_clear) struct path_list before = PATH_LIST_NULL;
    owned(path_list_clear) struct path_list now = PATH_LIST_NULL;
    assert_int_equal(inventory_take(fixture->fd, NULL, 0, NULL, &before, NULL), 0);
    assert_int_equal(before.count, 3);
    assert_int_equal(before.items[1].what, INVENTORY_DIRECTORY);
    make_file(fixture->fd, "d/new");
    assert_int_equal(inventory_take(fixture->fd, &time, 0, NULL, &now, NULL), 0);
    assert_int_equal(now.count, 4);
    assert_int_equal(now.items[3].what, 0);
    EXPECT(&before, &now, {"", 0}, {"d", 0}, {"d/new", 0});
    struct cancel cancel = {0};
    cancel_request(&cancel);
    owned(path_list_clear) struct path_list none = PATH_LIST_NULL;
    assert_int_equal(inventory_take(fixture->fd, NULL, 0, &cancel, &none, NULL), ERROR_CANCELLED);
    assert_int_equal(none.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_made_changed_and_removed_is_found),
        cmocka_unit_test(the_directory_of_what_has_changed_is_named),
        cmocka_unit_test(another_inode_replaces_all_that_was_below),
        cmocka_unit_test(a_number_used_again_for_another_kind_is_another_inode),
        VOLUME_TEST(a_tree_is_taken_with_what_has_changed),
    };
    return cmocka_run_group_tests_name("inventories of trees", tests, volume_fixture_xfs,
                                       volume_fixture_unmount);
}
