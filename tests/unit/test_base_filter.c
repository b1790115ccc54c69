/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/filter.h"
#include "base/mem.h"
#include "base/regexp.h"

struct object {
    const char *name;
    const char *kind;
};

static const struct object foo = {"foo", "active"};
static const struct object bar = {"bar", "view"};
static const struct object other = {"other", "view"};

static bool look_up(const void *context, const char *const *path, size_t count,
                    const char **out_value)
{
    const struct object *object = context;
    if (count == 1 && strcmp(path[0], "name") == 0)
        *out_value = object->name;
    else if (count == 1 && strcmp(path[0], "kind") == 0)
        *out_value = object->kind;
    else
        return false;
    return true;
}

static int parse_one(const char *text, struct filter_list **out_list, struct error *error)
{
    char *texts[] = {(char *) text};
    return filter_list_parse(texts, 1, out_list, error);
}

static void a_list_matches_what_any_filter_matches(void **state)
{
    (void) state;
    char *texts[] = {(char *) "name==foo", (char *) "kind==view,name==bar"};
    owned(filter_list_clear) struct filter_list *list = NULL;
    assert_int_equal(filter_list_parse(texts, 2, &list, NULL), 0);
    assert_true(filter_list_match(list, look_up, &foo));
    assert_true(filter_list_match(list, look_up, &bar));
    assert_false(filter_list_match(list, look_up, &other));
}

/* Asks to stop when it is called for the second time. */
struct impatient {
    struct cancel cancel;
    unsigned lookups;
};

static bool look_up_impatiently(const void *context, const char *const *path, size_t count,
                                const char **out_value)
{
    struct impatient *impatient = (struct impatient *) context;
    (void) path;
    (void) count;
    if (++impatient->lookups == 2)
        cancel_request(&impatient->cancel);
    *out_value = "";
    return true;
}

static void a_match_can_be_cancelled_between_selectors(void **state)
{
    (void) state;
    static const char *const lists[][3] = {{"name==x", "name==y", "name==z"},
                                           {"name~=^,kind~=^,name~=^", "name==y", "name==z"}};
    for (size_t i = 0; i < 2; i++) {
        owned(filter_list_clear) struct filter_list *list = NULL;
        struct impatient impatient = {0};
        const struct patience patience = {.cancel = &impatient.cancel};
        assert_int_equal(filter_list_parse((char *const *) lists[i], 3, &list, NULL), 0);
        assert_int_equal(filter_list_match_until(list, look_up_impatiently, &impatient, &patience),
                         ERROR_CANCELLED);
        assert_int_equal(impatient.lookups, 2);
    }
}

static char *repeat(const char *start, const char *text, size_t count)
{
    size_t length = strlen(text);
    char *out = mem_alloc(strlen(start) + length * count + 1);
    char *end = stpcpy(out, start);
    for (size_t i = 0; i < count; i++)
        end = stpcpy(end, text);
    return out;
}

/* 16,384 characters, at each of which 16,000 places in the pattern are looked at. */
static void a_look_ends_amid_a_costly_regexp_when_the_time_is_over(void **state)
{
    (void) state;
    owned(filter_list_clear) struct filter_list *list = NULL;
    owned(mem_free) char *text = repeat("", "a", 16384);
    const struct object object = {.name = text, .kind = ""};
    struct patience patience = {.until_ms = clock_monotonic_ms() + 20};
    assert_int_equal(parse_one("name~=/(?:a?a?a?a?){1000}.{1000}.{1000}b/", &list, NULL), 0);
    clock_t start = clock(); /* of the CPU: others may keep this machine busy */
    assert_int_equal(filter_list_look(list, look_up, &object, &patience, NULL), FILTER_AGAIN);
    assert_true(clock() - start < 5 * CLOCKS_PER_SEC); /* some 20 ms, without sanitizers */
}

static void an_empty_list_matches_everything(void **state)
{
    (void) state;
    owned(filter_list_clear) struct filter_list *list = NULL;
    assert_int_equal(filter_list_parse(NULL, 0, &list, NULL), 0);
    assert_true(filter_list_match(list, look_up, &foo));
}

static void one_bad_filter_fails_the_list_and_is_located(void **state)
{
    (void) state;
    char *texts[] = {(char *) "name==foo", (char *) "kind=view"};
    struct filter_list *list = NULL;
    struct error error = {0};
    assert_int_equal(filter_list_parse(texts, 2, &list, &error), ERROR_INVALID);
    assert_null(list);
    assert_string_equal(error.message, "bad filter: expected ==, != or ~= at byte 5 of: kind=view");
}

/* containerd accepts these, though nothing that it stores can equal them. */
static void what_stands_for_nul_or_no_character_is_refused(void **state)
{
    (void) state;
    static const char *const filters[] = {"name==\"\\x00\"", "name==\"\\000\"",
                                          "name==\"a\\u0000\"", "labels.\"\\x00\"",
                                          "name!=\"\\UFFFFFFFF\""};
    struct filter_list *list;
    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        assert_int_equal(parse_one(filters[i], &list, NULL), ERROR_INVALID);
}

static void malformed_utf8_is_refused_and_not_repeated(void **state)
{
    (void) state;
    struct filter_list *list;
    struct error error;
    assert_int_equal(parse_one("name==a\xff", &list, &error), ERROR_INVALID);
    assert_string_equal(error.message, "bad filter: not valid UTF-8, or has U+FFFD");
    assert_int_equal(parse_one("name==\"\xc3\"", &list, NULL), ERROR_INVALID);
}

static void sizes_are_limited(void **state)
{
    (void) state;
    struct filter_list *list = NULL;
    owned(mem_free) char *fits = repeat("name==", "x", 65536 - 6);
    owned(mem_free) char *too_long = repeat("name==", "x", 65536 - 5);
    owned(mem_free) char *long_regexp = repeat("name~=", "x", REGEXP_BYTES_MAX + 1);
    owned(mem_free) char *many_regexps = repeat("x", ",x~=x", 257);
    assert_int_equal(parse_one(fits, &list, NULL), 0);
    filter_list_clear(&list);
    assert_int_equal(parse_one(too_long, &list, NULL), ERROR_INVALID);
    assert_int_equal(parse_one(long_regexp, &list, NULL), ERROR_INVALID);
    assert_int_equal(parse_one(many_regexps, &list, NULL), ERROR_INVALID);

    owned(mem_free) char *steps = repeat("x~=/a{1000}b{1000}c{1000}d{1000}/", /* 4001 each */
                                         ",x~=/a{1000}b{1000}c{1000}d{1000}/", 64);
    owned(mem_free) char *more_steps = mem_printf("%s,x~=/a{1000}b{1000}c{100}/", steps);
    assert_int_equal(parse_one(steps, &list, NULL), 0);
    filter_list_clear(&list);
    assert_int_equal(parse_one(more_steps, &list, NULL), ERROR_INVALID);

    char *texts[1025];
    for (size_t i = 0; i < 1025; i++)
        texts[i] = (char *) "name==foo";
    assert_int_equal(filter_list_parse(texts, 1025, &list, NULL), ERROR_INVALID);
    assert_int_equal(filter_list_parse(texts, 1024, &list, NULL), 0);
    filter_list_clear(&list);
    for (size_t i = 0; i < 17; i++)
        texts[i] = fits;
    assert_int_equal(filter_list_parse(texts, 17, &list, NULL), ERROR_INVALID);
}

static void a_long_path_and_many_selectors_are_fine(void **state)
{
    (void) state;
    owned(filter_list_clear) struct filter_list *list = NULL;
    owned(mem_free) char *path = repeat("labels", ".x", 10000);
    owned(mem_free) char *selectors = repeat("name", ",name", 10000);
    assert_int_equal(parse_one(path, &list, NULL), 0);
    assert_false(filter_list_match(list, look_up, &bar));
    filter_list_clear(&list);
    assert_int_equal(parse_one(selectors, &list, NULL), 0);
    assert_true(filter_list_match(list, look_up, &bar));
}

static void joining_a_path_is_bounded(void **state)
{
    (void) state;
    static const char *const path[] = {"labels", "a", "", "bc"};
    char out[8];
    assert_true(filter_join(path, 1, 4, out, 6));
    assert_string_equal(out, "a..bc");
    assert_false(filter_join(path, 1, 4, out, 5));
    assert_false(filter_join(path, 1, 4, out, 1));
    assert_true(filter_join(path, 1, 1, out, 1));
    assert_string_equal(out, "");
    assert_false(filter_join(path, 1, 1, out, 0));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_list_matches_what_any_filter_matches),
        cmocka_unit_test(a_match_can_be_cancelled_between_selectors),
        cmocka_unit_test(a_look_ends_amid_a_costly_regexp_when_the_time_is_over),
        cmocka_unit_test(an_empty_list_matches_everything),
        cmocka_unit_test(one_bad_filter_fails_the_list_and_is_located),
        cmocka_unit_test(what_stands_for_nul_or_no_character_is_refused),
        cmocka_unit_test(malformed_utf8_is_refused_and_not_repeated),
        cmocka_unit_test(sizes_are_limited),
        cmocka_unit_test(a_long_path_and_many_selectors_are_fine),
        cmocka_unit_test(joining_a_path_is_bounded),
    };
    return cmocka_run_group_tests_name("base/filter", tests, NULL, NULL);
}
