/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "snapshotter/inventories.h"

static const struct timestamp noon = {.seconds = 1000, .nanos = 5};

static int set_up(void **state)
{
    *state = inventories_new();
    return 0;
}

static int tear_down(void **state)
{
    inventories_free(*state);
    return 0;
}

/* One with a single item, of that path. */
static void put(struct inventories *inventories, uint64_t tree, const char *path, int64_t now_ms)
{
    struct path_list list = PATH_LIST_NULL;
    const struct path_item item = {.path = path};
    assert_true(path_list_add(&list, &item));
    const struct inventory_key key = {.tree = tree, .time = noon, .epoch = clock_epoch()};
    inventories_put(inventories, &key, &list, now_ms);
    assert_null(list.items);
}

static bool take(struct inventories *inventories, uint64_t tree, const char *path)
{
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    bool found = inventories_take(inventories, tree, noon, &list);
    if (found)
        assert_string_equal(list.items[0].path, path);
    return found;
}

static void what_is_kept_is_taken_once(void **state)
{
    put(*state, 7, "a", 0);
    assert_false(take(*state, 8, "a"));
    assert_true(take(*state, 7, "a"));
    assert_false(take(*state, 7, "a"));
}

static void the_last_of_a_tree_counts(void **state)
{
    put(*state, 7, "a", 0);
    put(*state, 8, "b", 1);
    put(*state, 7, "c", 2);
    assert_true(take(*state, 7, "c"));
    assert_true(take(*state, 8, "b"));
}

static void one_of_another_time_is_none(void **state)
{
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    const struct timestamp later = {.seconds = noon.seconds, .nanos = noon.nanos + 1};
    put(*state, 7, "a", 0);
    assert_false(inventories_take(*state, 7, later, &list));
    assert_false(take(*state, 7, "a")); /* it will not be of use any more */
    const struct inventory_key key = {.tree = 7, .time = noon, .epoch = clock_epoch() + 1};
    inventories_put(*state, &key, &list, 0);
    assert_false(take(*state, 7, "a"));
}

static void the_oldest_goes_for_a_new_one(void **state)
{
    enum { SLOTS = 8 };
    for (uint64_t tree = 1; tree <= SLOTS + 1; tree++)
        put(*state, tree, "a", (int64_t) tree);
    assert_false(take(*state, 1, "a"));
    for (uint64_t tree = 2; tree <= SLOTS + 1; tree++)
        assert_true(take(*state, tree, "a"));
}

/* A list of so many items, which are not looked at. */
static void put_many(struct inventories *inventories, uint64_t tree, size_t count, int64_t now_ms)
{
    struct path_list list = {.items = mem_alloc_array(1, sizeof *list.items), .count = count};
    list.items[0].path = "many";
    const struct inventory_key key = {.tree = tree, .time = noon, .epoch = clock_epoch()};
    inventories_put(inventories, &key, &list, now_ms);
}

static void big_ones_are_few(void **state)
{
    put_many(*state, 1, 250000, 1);
    put_many(*state, 2, 250000, 2);
    put_many(*state, 3, 100000, 3);
    put_many(*state, 4, 100000, 4); /* the first one goes */
    put_many(*state, 2, 250000, 5); /* in its own place */
    assert_false(take(*state, 1, "many"));
    assert_true(take(*state, 2, "many"));
    put_many(*state, 5, 500000, 6);
    assert_false(take(*state, 3, "many"));
    assert_true(take(*state, 4, "many"));
    assert_true(take(*state, 5, "many"));
}

static void what_is_idle_goes(void **state)
{
    enum { MINUTE_MS = 60000 };
    put(*state, 1, "a", 0);
    put(*state, 2, "b", MINUTE_MS);
    inventories_drop_idle(*state, 30 * MINUTE_MS + 1);
    assert_false(take(*state, 1, "a"));
    assert_true(take(*state, 2, "b"));
}

static void that_of_a_tree_that_is_gone_goes(void **state)
{
    put(*state, 1, "a", 0);
    put(*state, 2, "b", 0);
    inventories_drop(*state, 1);
    inventories_drop(*state, 3);
    assert_false(take(*state, 1, "a"));
    assert_true(take(*state, 2, "b"));
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_is_kept_is_taken_once),
        TEST(the_last_of_a_tree_counts),
        TEST(one_of_another_time_is_none),
        TEST(the_oldest_goes_for_a_new_one),
        TEST(what_is_idle_goes),
        TEST(big_ones_are_few),
        TEST(that_of_a_tree_that_is_gone_goes),
    };
    return cmocka_run_group_tests_name("inventories that are kept", tests, NULL, NULL);
}
