/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
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

static void programs_are_limited(void **state)
{
    (void) state;
    owned(mem_free) char *fits = repeat("", "a{1000}", 16);
    owned(mem_free) char *too_long = repeat("", "a{1000}", 17);
    struct regexp *regexp = regexp_new(fits);
    assert_non_null(regexp);
    regexp_free(regexp);
    assert_null(regexp_new(too_long));
    owned(mem_free) char *sets = mem_alloc(257 * 10 + 1);
    for (size_t i = 0; i < 257; i++)
        (void) sprintf(sets + strlen(sets), "[a\\x{%zx}]", 0x100 + i);
    assert_null(regexp_new(sets));
    sets[strlen(sets) - 10] = '\0';
    assert_false(matches(sets, "a"));
}

static void flags_last_to_the_end_of_their_group(void **state)
{
    (void) state;
    assert_true(matches("^(a(?i)b|c)d$", "Cd"));
    assert_false(matches("^(a(?i)b|c)d$", "CD"));
    assert_true(matches("(?i)^stra(?-i:SSE)$", "STRASSE"));
    assert_true(matches("(?i)k", "\xe2\x84\xaa")); /* the Kelvin sign */
    assert_true(matches("(?m)^b$", "a\nb\nc"));
    assert_false(matches("^b$", "a\nb\nc"));
    assert_false(matches("a.b", "a\nb"));
    assert_true(matches("(?s)a.b", "a\nb"));
}

static void alternatives_and_repetitions_nest(void **state)
{
    (void) state;
    static const char pattern[] = "^(?:(?:ab|c|){2}d|(e|f{2,3})+?g{0}|h{2,}){1,2}$";
    static const char *const good[] = {"d", "abd", "ccd", "abcdd", "effe", "hh", "hhhhhd", "fffff"};
    static const char *const bad[] = {"", "cccd", "h", "f", "effeg", "ddd", "abab"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++)
        assert_true(matches(pattern, good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        assert_false(matches(pattern, bad[i]));
    assert_true(matches("^(a*)*(|b)+$", "aab"));
    assert_true(matches("^(?:a{0,2}){3}$", "aaaaaa"));
    assert_false(matches("^(?:a{0,2}){3}$", "aaaaaaa"));
}

static void words_end_at_bytes_of_ascii(void **state)
{
    (void) state;
    assert_true(matches("\\bfoo\\b", "a foo-bar"));
    assert_false(matches("\\bfoo\\b", "a foobar"));
    assert_true(matches("a\\b", "a\xc3\xa9"));
    assert_true(matches("\\B", ""));
}

static void a_hostile_pattern_is_decided_soon(void **state)
{
    (void) state;
    static const char *const patterns[] = {"(a+)+$",     "(a|aa)+c", "(a|a){15}c",
                                           "(.*a){20}c", "(a*)*ac",  "((a?){30}){30}ac",
                                           ".*?a*[xy]",  "a*[xy]",   "a*a*a*a*a*d"};
    owned(mem_free) char *middle = repeat("c", "a", 4000);
    owned(mem_free) char *text = mem_printf("%sb", middle);
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++) {
        struct regexp *regexp = regexp_new(patterns[i]);
        assert_non_null(regexp);
        clock_t start = clock(); /* of the CPU: others may keep this machine busy */
        assert_false(regexp_matches(regexp, text));
        assert_true(clock() - start < 5 * CLOCKS_PER_SEC); /* some ms, without sanitizers */
        regexp_free(regexp);
    }
    assert_true(matches("(a|aa)+b$", text));
    assert_true(matches("^c(.*a){20}b", text));
    assert_true(matches("^c((a?){30}){30}a*b", text));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_search_is_not_anchored),
        cmocka_unit_test(a_pattern_that_is_not_valid_matches_nothing),
        cmocka_unit_test(malformed_text_does_not_match),
        cmocka_unit_test(deep_nesting_is_limited),
        cmocka_unit_test(programs_are_limited),
        cmocka_unit_test(flags_last_to_the_end_of_their_group),
        cmocka_unit_test(alternatives_and_repetitions_nest),
        cmocka_unit_test(words_end_at_bytes_of_ascii),
        cmocka_unit_test(a_hostile_pattern_is_decided_soon),
    };
    return cmocka_run_group_tests_name("base/regexp", tests, NULL, NULL);
}
