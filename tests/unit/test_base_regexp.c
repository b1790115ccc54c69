/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "base/regexp.h"

static char *repeat(const char *start, const char *text, size_t count)
{
    size_t length = strlen(text);
    char *out = mem_alloc(strlen(start) + length * count + 1);
    char *end = stpcpy(out, start);
    for (size_t i = 0; i < count; i++)
        end = stpcpy(end, text);
    return out;
}

static bool matches(const char *pattern, const char *text)
{
    struct regexp *regexp = regexp_new(pattern);
    bool result = regexp_matches(regexp, text);
    regexp_free(regexp);
    return result;
}

static void a_search_is_not_anchored(void **state)
{
    (void) state;
    assert_true(matches("b+c", "aabbcc"));
    assert_true(matches("", "anything"));
    assert_true(matches("x|", ""));
    assert_false(matches("^b", "ab"));
    assert_false(matches("b$", "b\n"));
}

static void a_pattern_that_is_not_valid_matches_nothing(void **state)
{
    (void) state;
    static const char *const patterns[] = {
        "(", "a)|(b", ")(", "(?s:", "(*FAIL)|a", "a|\\2", "\xff|a"};
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
        assert_null(regexp_new(patterns[i]));
    assert_false(matches("a|(", "a"));
}

static void malformed_text_does_not_match(void **state)
{
    (void) state;
    assert_false(matches(".*", "a\xff"));
}

static void deep_nesting_is_limited(void **state)
{
    (void) state;
    owned(mem_free) char *open = repeat("", "(", 100);
    owned(mem_free) char *nested = repeat(open, ")", 100);
    owned(mem_free) char *opens = repeat("", "(", 2000);
    owned(mem_free) char *too_deep = repeat(opens, ")", 2000);
    assert_true(matches(nested, "x"));
    assert_null(regexp_new(too_deep));
    assert_null(regexp_new(opens));
}

static void a_catastrophic_pattern_stops_soon_and_does_not_match(void **state)
{
    (void) state;
    static const char *const patterns[] = {"(a+)+$",     "(a|aa)+c", "(a|a){15}c",
                                           "(.*a){20}c", "(a*)*ac",  "((a?){30}){30}ac"};
    owned(mem_free) char *middle = repeat("c", "a", 4000);
    owned(mem_free) char *text = mem_printf("%sb", middle);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct regexp *regexp = regexp_new(patterns[i]);
        assert_non_null(regexp);
        int64_t start = clock_monotonic_ms();
        assert_false(regexp_matches(regexp, text));
        assert_true(clock_monotonic_ms() - start < 1000); /* some ms, without sanitizers */
        regexp_free(regexp);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_is_not_anchored),
        cmocka_unit_test(a_pattern_that_is_not_valid_matches_nothing),
        cmocka_unit_test(malformed_text_does_not_match),
        cmocka_unit_test(deep_nesting_is_limited),
        cmocka_unit_test(a_catastrophic_pattern_stops_soon_and_does_not_match),
    };
    return cmocka_run_group_tests_name("base/regexp", tests, NULL, NULL);
}
