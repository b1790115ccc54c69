/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/small_calls.h"

enum { SMALL_MS = 20, AFTER_MS = 6, PAUSE_MS = 10 };

static int64_t time_giving_way(void)
{
    int64_t begun = clock_monotonic_ms();
    small_calls_give_way();
    return clock_monotonic_ms() - begun;
}

/* Until no test before has anything to do with what follows. */
static int let_pass(void **state)
{
    (void) state;
    return usleep((SMALL_MS + PAUSE_MS) * 1000);
}

/* How often somebody waited in so many ms of giving way again and again, and for how long in all.
 */
static unsigned pauses_within(int64_t ms, int64_t *out_waited)
{
    unsigned pauses = 0;
    *out_waited = 0;
    for (int64_t until = clock_monotonic_ms() + ms; clock_monotonic_ms() < until;) {
        int64_t waited = time_giving_way();
        pauses += waited >= AFTER_MS - 1;
        *out_waited += waited;
    }
    return pauses;
}

static void nobody_waits_when_there_is_none(void **state)
{
    (void) state;
    int64_t waited;
    assert_int_equal(pauses_within(50, &waited), 0);
}

static void many_wait_while_one_is_under_way_but_not_for_long(void **state)
{
    (void) state;
    small_calls_begin();
    assert_true(time_giving_way() >= PAUSE_MS - 1);
    small_calls_end();
}

static void many_wait_a_moment_after_one(void **state)
{
    (void) state;
    small_calls_begin();
    small_calls_end();
    assert_in_range(time_giving_way(), AFTER_MS - 1, PAUSE_MS);
}

static void what_takes_long_is_not_waited_for(void **state)
{
    int64_t waited;
    small_calls_begin();
    assert_int_equal(let_pass(state), 0);
    assert_int_equal(pauses_within(50, &waited), 0);
    small_calls_end();
}

static void who_waits_again_and_again_works_half_of_the_time(void **state)
{
    (void) state;
    int64_t waited = 0;
    int64_t begun = clock_monotonic_ms();
    while (clock_monotonic_ms() < begun + 400) {
        small_calls_begin();
        waited += time_giving_way();
        small_calls_end();
    }
    int64_t all = clock_monotonic_ms() - begun;
    assert_in_range(waited, all / 3, all * 2 / 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(nobody_waits_when_there_is_none, let_pass),
        cmocka_unit_test_setup(many_wait_while_one_is_under_way_but_not_for_long, let_pass),
        cmocka_unit_test_setup(many_wait_a_moment_after_one, let_pass),
        cmocka_unit_test_setup(what_takes_long_is_not_waited_for, let_pass),
        cmocka_unit_test_setup(who_waits_again_and_again_works_half_of_the_time, let_pass),
    };
    return cmocka_run_group_tests_name("small_calls", tests, NULL, NULL);
}
