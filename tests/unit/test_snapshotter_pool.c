/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "snapshotter/pool.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, HOUR = 60 * MINUTE };

static void clear_pool(struct pool **pool)
{
    pool_free(*pool);
}

static bool put(struct pool *pool, const char *parent, uint64_t tree, uint64_t entries)
{
    owned(spare_record_clear) struct spare_record spare = {.tree = tree,
                                                           .snapshotter = mem_strdup("name"),
                                                           .parent = mem_strdup(parent),
                                                           .entries = entries};
    return pool_put(pool, &spare);
}

/* The tree that is taken, or 0. */
static uint64_t take(struct pool *pool, const char *parent)
{
    owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
    return pool_take(pool, "name", parent, &spare) ? spare.tree : 0;
}

static uint64_t take_surplus(struct pool *pool, int64_t now, bool all)
{
    owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
    return pool_take_surplus(pool, now, all, &spare) ? spare.tree : 0;
}

static void assert_wants(struct pool *pool, int64_t now, const char *parent)
{
    owned(mem_free) char *name = NULL;
    owned(mem_free) char *key = NULL;
    bool wants = pool_wants(pool, now, &name, &key);
    assert_string_equal(wants ? key : "nothing", parent);
}

static void a_parent_that_is_used_wants_a_spare(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    assert_true(pool_is_empty(pool));
    assert_wants(pool, 0, "nothing");
    pool_note_use(pool, "name", "image", 0);
    assert_false(pool_is_empty(pool));
    assert_wants(pool, 0, "image");
    assert_true(put(pool, "image", 7, 1000));
    assert_wants(pool, 0, "nothing");
    assert_int_equal(take(pool, "other"), 0);
    assert_int_equal(take(pool, "image"), 7);
    assert_int_equal(take(pool, "image"), 0);
    assert_wants(pool, 0, "image");
}

static void the_one_used_last_comes_first(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_use(pool, "name", "old", 0);
    pool_note_use(pool, "name", "new", 1);
    assert_wants(pool, 2, "new");
    pool_note_use(pool, "name", "old", 3);
    assert_wants(pool, 4, "old");
}

static void as_many_are_wanted_as_were_used_within_ten_minutes(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    for (int i = 0; i < 5; i++)
        pool_note_use(pool, "name", "image", i);
    for (uint64_t tree = 1; tree <= 5; tree++) {
        assert_wants(pool, MINUTE, "image");
        assert_true(put(pool, "image", tree, 1000));
    }
    assert_wants(pool, MINUTE, "nothing");
    assert_int_equal(take_surplus(pool, MINUTE, false), 0);
    for (uint64_t tree = 1; tree <= 4; tree++)
        assert_int_equal(take_surplus(pool, 11 * MINUTE, false), tree);
    assert_int_equal(take_surplus(pool, 11 * MINUTE, false), 0);
    assert_int_equal(take_surplus(pool, 2 * HOUR, false), 5);
    assert_wants(pool, 2 * HOUR, "nothing");
}

static void a_big_tree_gets_fewer(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    for (int i = 0; i < 16; i++)
        pool_note_use(pool, "name", "image", i);
    assert_true(put(pool, "image", 1, 250000));
    assert_true(put(pool, "image", 2, 250000));
    assert_wants(pool, 0, "image");
    assert_true(put(pool, "image", 3, 250000));
    assert_wants(pool, 0, "nothing");
    pool_note_use(pool, "name", "huge", 20);
    assert_wants(pool, 20, "huge"); /* one in any case */
    assert_true(put(pool, "huge", 4, 2000000));
    pool_note_use(pool, "name", "small", 21);
    assert_wants(pool, 21, "nothing"); /* all together have enough */
}

static void fewer_are_wanted_where_all_is_copied(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(false);
    for (int i = 0; i < 20; i++)
        pool_note_use(pool, "name", "image", i);
    for (uint64_t tree = 1; tree <= 8; tree++) {
        assert_wants(pool, MINUTE, "image");
        assert_true(put(pool, "image", tree, 1000));
    }
    assert_wants(pool, MINUTE, "nothing");
}

static void no_parent_has_more_than_its_places(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    uint64_t tree = 1;
    while (put(pool, "image", tree, 10))
        tree++;
    assert_int_equal(tree, 65);
    assert_int_equal(take(pool, "image"), 1);
}

static void the_top_of_an_image_waits_for_another_layer(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_top(pool, "name", "one", 0);
    assert_wants(pool, 2 * SECOND, "nothing");
    pool_note_layer(pool, "name", "one", 2 * SECOND);
    pool_note_top(pool, "name", "two", 2 * SECOND);
    assert_wants(pool, 4 * SECOND, "nothing");
    assert_wants(pool, 6 * SECOND, "two");
    pool_note_use(pool, "name", "two", 6 * SECOND);
    /* Another image on top of it: it is used all the same. */
    pool_note_layer(pool, "name", "two", 6 * SECOND);
    assert_wants(pool, 7 * SECOND, "two");
}

/* Makes what the pool wants, trees of so many entries, up to a limit; returns how many. */
static unsigned fill(struct pool *pool, int64_t now, uint64_t entries, unsigned limit)
{
    unsigned made = 0;
    owned(mem_free) char *name = NULL;
    owned(mem_free) char *key = NULL;
    while (made < limit && pool_wants(pool, now, &name, &key)) {
        assert_true(put(pool, key, ++made, entries));
        mem_free(&name);
        mem_free(&key);
    }
    return made;
}

static void the_top_of_an_image_expects_a_burst(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_top(pool, "name", "image", 0);
    assert_int_equal(fill(pool, 4 * SECOND, 110000, 100), 5);
    assert_int_equal(take_surplus(pool, 9 * MINUTE, false), 0);
    for (uint64_t tree = 1; tree <= 4; tree++)
        assert_int_equal(take_surplus(pool, 10 * MINUTE, false), tree);
    assert_int_equal(take_surplus(pool, 10 * MINUTE, false), 0);
    assert_int_equal(take_surplus(pool, 2 * HOUR, false), 5);
}

static void what_is_taken_of_a_top_is_made_again(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_top(pool, "name", "image", 0);
    assert_int_equal(fill(pool, 4 * SECOND, 5000, 100), 32);
    for (uint64_t tree = 1; tree <= 32; tree++) {
        pool_note_use(pool, "name", "image", 5 * SECOND);
        assert_int_equal(take(pool, "image"), tree);
    }
    assert_int_equal(fill(pool, 6 * SECOND, 5000, 100), 32);
    assert_int_equal(take_surplus(pool, 10 * MINUTE, false), 0); /* by now they were used */
    assert_int_equal(take_surplus(pool, 11 * MINUTE, false), 1);
}

static void a_top_of_big_trees_gets_one(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_top(pool, "name", "image", 0);
    assert_int_equal(fill(pool, 4 * SECOND, 700000, 100), 1);
    owned(clear_pool) struct pool *copies = pool_new(false);
    pool_note_top(copies, "name", "image", 0);
    assert_int_equal(fill(copies, 4 * SECOND, 1000, 100), 1);
}

static void an_image_on_top_of_it_ends_what_is_expected(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_top(pool, "name", "image", 0);
    assert_int_equal(fill(pool, 4 * SECOND, 110000, 3), 3);
    pool_note_layer(pool, "name", "image", 5 * SECOND);
    assert_wants(pool, 9 * SECOND, "nothing");
    assert_int_equal(take_surplus(pool, 5 * SECOND, false), 1);
    assert_int_equal(take_surplus(pool, 5 * SECOND, false), 2);
    assert_int_equal(take_surplus(pool, 5 * SECOND, false), 0);
}

static void what_is_expected_waits_for_quiet(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    assert_true(pool_is_quiet(pool, 10 * SECOND));
    pool_note_top(pool, "name", "image", 20 * SECOND);
    pool_begin_unpacking(pool); /* another image */
    assert_int_equal(fill(pool, 24 * SECOND, 110000, 100), 1);
    assert_false(pool_is_quiet(pool, 24 * SECOND));
    pool_end_unpacking(pool, 50 * SECOND);
    assert_wants(pool, 52 * SECOND, "nothing");
    assert_wants(pool, 53 * SECOND, "image");
    pool_note_layer(pool, "name", "other", 54 * SECOND);
    assert_wants(pool, 56 * SECOND, "nothing");
    assert_wants(pool, 57 * SECOND, "image");
    pool_note_use(pool, "name", "image", 58 * SECOND);
    assert_wants(pool, 60 * SECOND, "nothing");
    assert_true(pool_is_quiet(pool, 61 * SECOND));
    assert_int_equal(fill(pool, 61 * SECOND, 110000, 2), 2);
}

static void what_is_used_comes_before_what_is_expected(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_use(pool, "name", "container", 0);
    pool_note_use(pool, "name", "container", 0);
    pool_note_top(pool, "name", "first", 1);
    pool_note_top(pool, "name", "second", 2);
    const char *const order[] = {"second", "first", "container", "container", "second"};
    for (uint64_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        assert_wants(pool, 4 * SECOND, order[i]);
        assert_true(put(pool, order[i], i + 1, 110000));
    }
}

static void what_is_expected_leaves_room_for_what_is_used(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    for (int i = 0; i < 3; i++) {
        char parent[32];
        (void) snprintf(parent, sizeof parent, "image %d", i);
        pool_note_top(pool, "name", parent, i);
    }
    /* One of each, four more of the last one, and two of the one before. */
    assert_int_equal(fill(pool, 4 * SECOND, 120000, 100), 9);
    assert_int_equal(take_surplus(pool, 5 * SECOND, false), 0);
    for (int i = 0; i < 4; i++)
        pool_note_use(pool, "name", "container", 5 * SECOND);
    assert_int_equal(fill(pool, 5 * SECOND, 120000, 100), 4);
    assert_int_equal(take_surplus(pool, 5 * SECOND, false), 0);
}

static void a_failure_is_not_tried_again_at_once(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_use(pool, "name", "image", 0);
    pool_pause(pool, "name", "image", 0);
    assert_wants(pool, 9 * MINUTE, "nothing");
    assert_wants(pool, 10 * MINUTE, "image");
}

static void what_was_used_least_recently_goes_first(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_use(pool, "name", "old", 0);
    pool_note_use(pool, "name", "new", 1);
    assert_true(put(pool, "new", 1, 10));
    assert_true(put(pool, "old", 2, 10));
    assert_int_equal(take_surplus(pool, 2, false), 0);
    assert_int_equal(take_surplus(pool, 2, true), 2);
    assert_int_equal(take_surplus(pool, 2, true), 1);
    assert_int_equal(take_surplus(pool, 2, true), 0);
}

static void a_parent_that_is_gone_is_forgotten(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_use(pool, "name", "image", 0);
    assert_true(put(pool, "image", 1, 2000000));
    pool_forget(pool, "name", "image");
    assert_true(pool_is_empty(pool));
    assert_int_equal(take(pool, "image"), 0);
    pool_note_use(pool, "name", "other", 0);
    assert_wants(pool, 0, "other"); /* its files count no more */
}

static void one_that_is_new_stays_where_all_others_have_spares(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    for (uint64_t i = 1; i <= 64; i++) {
        char parent[32];
        (void) snprintf(parent, sizeof parent, "image %d", (int) i);
        pool_note_use(pool, "name", parent, 0);
        assert_true(put(pool, parent, i, 10));
    }
    pool_note_use(pool, "name", "new", 1);
    assert_wants(pool, 1, "new");
    assert_true(put(pool, "new", 100, 10));
    assert_int_equal(take(pool, "new"), 100);
}

static void few_parents_are_remembered(void **state)
{
    (void) state;
    owned(clear_pool) struct pool *pool = pool_new(true);
    pool_note_use(pool, "name", "kept", 0);
    assert_true(put(pool, "kept", 1, 10));
    for (int i = 0; i < 1000; i++) {
        char parent[32];
        (void) snprintf(parent, sizeof parent, "image %d", i);
        pool_note_use(pool, "name", parent, i);
    }
    assert_int_equal(take(pool, "kept"), 1);
    unsigned wanting = 0;
    owned(mem_free) char *name = NULL;
    owned(mem_free) char *key = NULL;
    while (pool_wants(pool, 1000, &name, &key)) {
        pool_forget(pool, name, key);
        mem_free(&name);
        mem_free(&key);
        wanting++;
    }
    assert_in_range(wanting, 60, 70);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_parent_that_is_used_wants_a_spare),
        cmocka_unit_test(the_one_used_last_comes_first),
        cmocka_unit_test(as_many_are_wanted_as_were_used_within_ten_minutes),
        cmocka_unit_test(a_big_tree_gets_fewer),
        cmocka_unit_test(fewer_are_wanted_where_all_is_copied),
        cmocka_unit_test(no_parent_has_more_than_its_places),
        cmocka_unit_test(the_top_of_an_image_waits_for_another_layer),
        cmocka_unit_test(the_top_of_an_image_expects_a_burst),
        cmocka_unit_test(what_is_taken_of_a_top_is_made_again),
        cmocka_unit_test(a_top_of_big_trees_gets_one),
        cmocka_unit_test(an_image_on_top_of_it_ends_what_is_expected),
        cmocka_unit_test(what_is_expected_waits_for_quiet),
        cmocka_unit_test(what_is_used_comes_before_what_is_expected),
        cmocka_unit_test(what_is_expected_leaves_room_for_what_is_used),
        cmocka_unit_test(a_failure_is_not_tried_again_at_once),
        cmocka_unit_test(what_was_used_least_recently_goes_first),
        cmocka_unit_test(a_parent_that_is_gone_is_forgotten),
        cmocka_unit_test(one_that_is_new_stays_where_all_others_have_spares),
        cmocka_unit_test(few_parents_are_remembered),
    };
    return cmocka_run_group_tests_name("the pool of spares", tests, NULL, NULL);
}
