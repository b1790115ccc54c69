/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/small_calls.h"

/* As in base/small_calls.c. */
enum { SMALL_MS = 20, AFTER_MS = 6, PAUSE_MS = 10, LATELY_MS = 200, RUN_MS = 2, REST_US = 50 };

static int64_t time_giving_way(void)
{
    int64_t begun = clock_monotonic_ms();
    small_calls_give_way();
    return clock_monotonic_ms() - begun;
}

/* Until nothing before has anything to do with what follows. */
static void let_pass(void)
{
    (void) usleep((SMALL_MS + PAUSE_MS) * 1000);
}

static int64_t now_us(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* How often one that is always busy was kept for as long as a rest in so many milliseconds. */
static unsigned count_rests(int ms)
{
    unsigned rests = 0;
    int64_t begun = now_us();
    for (int64_t last = begun, now = begun; now < begun + (int64_t) ms * 1000; last = now) {
        small_calls_give_way();
        now = now_us();
        rests += now >= last + REST_US;
    }
    return rests;
}

struct attempt {
    const char *name;
    bool (*run)(void);
};

/* The machine may be slow: what the test tries has to succeed once. */
static void succeeds_once(void **state)
{
    const struct attempt *attempt = *state;
    bool done = false;
    for (int i = 0; i < 50 && !done; i++) {
        let_pass();
        done = attempt->run();
    }
    assert_true(done);
}

static bool nobody_waits_when_there_is_none(void)
{
    return time_giving_way() < AFTER_MS - 1;
}

static bool many_wait_while_one_is_under_way_but_not_for_long(void)
{
    small_calls_begin();
    int64_t took = time_giving_way();
    small_calls_end();
    return took >= PAUSE_MS - 1;
}

static bool many_wait_a_moment_after_one(void)
{
    small_calls_begin();
    small_calls_end();
    int64_t took = time_giving_way();
    return took >= AFTER_MS - 1 && took < PAUSE_MS;
}

static bool what_takes_long_is_not_waited_for(void)
{
    small_calls_begin();
    let_pass();
    int64_t took = time_giving_way();
    small_calls_end();
    return took < AFTER_MS - 1;
}

static bool who_has_waited_works_as_long_before_it_waits_again(void)
{
    small_calls_begin();
    int64_t first = time_giving_way();
    int64_t at_once = time_giving_way();
    (void) usleep((PAUSE_MS + 1) * 1000);
    small_calls_begin();
    int64_t again = time_giving_way();
    small_calls_end();
    small_calls_end();
    return first >= PAUSE_MS - 1 && at_once < AFTER_MS - 1 && again >= PAUSE_MS - 1;
}

static bool many_rest_now_and_then_while_small_ones_come(void)
{
    small_calls_begin();
    small_calls_end();
    (void) usleep((AFTER_MS + 1) * 1000);
    unsigned rests = count_rests(20 * RUN_MS);
    return rests > 10 && rests <= 21;
}

static bool nobody_rests_when_none_has_come_lately(void)
{
    small_calls_begin();
    small_calls_end();
    (void) usleep(LATELY_MS * 1000);
    return count_rests(20 * RUN_MS) < 10;
}

#define ATTEMPT(function) ((struct attempt){.name = #function, .run = (function)})

int main(void)
{
    struct attempt attempts[] = {
        ATTEMPT(nobody_waits_when_there_is_none),
        ATTEMPT(many_wait_while_one_is_under_way_but_not_for_long),
        ATTEMPT(many_wait_a_moment_after_one),
        ATTEMPT(what_takes_long_is_not_waited_for),
        ATTEMPT(who_has_waited_works_as_long_before_it_waits_again),
        ATTEMPT(many_rest_now_and_then_while_small_ones_come),
        ATTEMPT(nobody_rests_when_none_has_come_lately),
    };
    struct CMUnitTest tests[sizeof attempts / sizeof attempts[0]];
    for (size_t i = 0; i < sizeof tests / sizeof tests[0]; i++)
        tests[i] = (struct CMUnitTest){
            .name = attempts[i].name, .test_func = succeeds_once, .initial_state = &attempts[i]};
    return cmocka_run_group_tests_name("small_calls", tests, NULL, NULL);
}
