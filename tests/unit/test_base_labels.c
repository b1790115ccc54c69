/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/labels.h"
#include "base/mem.h"

/* "k=v k=v", for comparing. */
static const char *text_of(const struct labels *labels)
{
    static char text[1024];
    size_t length = 0;
    text[0] = '\0';
    for (size_t i = 0; i < labels->count; i++)
        length += (size_t) snprintf(text + length, sizeof text - length, "%s%s=%s", i ? " " : "",
                                    labels->items[i].key, labels->items[i].value);
    return text;
}

static struct labels make(const char *key1, const char *value1, const char *key2,
                          const char *value2)
{
    struct labels labels = LABELS_NULL;
    labels_set(&labels, key1, value1);
    labels_set(&labels, key2, value2);
    return labels;
}

static void labels_are_sorted_by_key_bytes(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    static const char *const keys[] = {"b", "a.b", "\xc3\xa9", "a", "B", "a/b"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++)
        labels_set(&labels, keys[i], "1");
    assert_string_equal(text_of(&labels), "B=1 a=1 a.b=1 a/b=1 b=1 \xc3\xa9=1");
}

static void setting_a_label_again_replaces_its_value(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = make("a", "1", "b", "2");
    labels_set(&labels, "a", "new");
    assert_string_equal(text_of(&labels), "a=new b=2");
    labels_set(&labels, "a", labels_get(&labels, "a"));
    assert_string_equal(labels_get(&labels, "a"), "new");
    assert_null(labels_get(&labels, "c"));
}

static void an_empty_value_removes_the_label(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = make("a", "1", "b", "2");
    labels_set(&labels, "a", "");
    labels_set(&labels, "never there", "");
    assert_string_equal(text_of(&labels), "b=2");
    assert_null(labels_get(&labels, "a"));
}

static void many_labels_are_found_again(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    char key[16];
    for (unsigned i = 0; i < 1000; i++) {
        (void) snprintf(key, sizeof key, "k%u", i * 7919 % 1000);
        labels_set(&labels, key, key);
    }
    assert_int_equal(labels.count, 1000);
    for (unsigned i = 0; i < 1000; i++) {
        (void) snprintf(key, sizeof key, "k%u", i);
        assert_string_equal(labels_get(&labels, key), key);
    }
}

static void a_copy_shares_nothing_with_its_source(void **state)
{
    (void) state;
    owned(labels_clear) struct labels source = make("a", "1", "b", "2");
    owned(labels_clear) struct labels copy = make("old", "x", "older", "y");
    labels_copy(&copy, &source);
    labels_set(&source, "a", "changed");
    assert_string_equal(text_of(&copy), "a=1 b=2");
    labels_copy(&copy, &copy);
    assert_string_equal(text_of(&copy), "a=1 b=2");
}

static void clearing_twice_is_harmless(void **state)
{
    (void) state;
    struct labels labels = make("a", "1", "b", "2");
    labels_clear(&labels);
    labels_clear(&labels);
    assert_int_equal(labels.count, 0);
}

struct update_case {
    const char *mask[3];
    const char *expected; /* of a=1 b=2, updated from b=new c=3 */
};

static void an_update_follows_its_mask(void **state)
{
    (void) state;
    static const struct update_case cases[] = {
        {{NULL}, "b=new c=3"},
        {{"labels"}, "b=new c=3"},
        {{"labels.c"}, "a=1 b=2 c=3"},
        {{"labels.b"}, "a=1 b=new"},
        {{"labels.a"}, "b=2"},
        {{"labels.other"}, "a=1 b=2"},
        {{"labels.a", "labels.c"}, "b=2 c=3"},
        {{"labels", "labels.a"}, "b=new c=3"},
        {{"labels."}, "a=1 b=2"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        owned(labels_clear) struct labels target = make("a", "1", "b", "2");
        owned(labels_clear) struct labels source = make("b", "new", "c", "3");
        char *mask[3];
        size_t count = 0;
        for (; cases[i].mask[count]; count++)
            mask[count] = (char *) cases[i].mask[count];
        assert_int_equal(labels_update(&target, &source, mask, count, NULL), 0);
        assert_string_equal(text_of(&target), cases[i].expected);
    }
}

static void the_key_in_a_mask_may_have_dots_and_slashes(void **state)
{
    (void) state;
    owned(labels_clear) struct labels target = make("a", "1", "b", "2");
    owned(labels_clear) struct labels source = make("containerd.io/snapshot/foo", "x", "y", "z");
    char *mask[] = {(char *) "labels.containerd.io/snapshot/foo"};
    assert_int_equal(labels_update(&target, &source, mask, 1, NULL), 0);
    assert_string_equal(text_of(&target), "a=1 b=2 containerd.io/snapshot/foo=x");
}

static void an_update_of_another_field_is_refused_and_changes_nothing(void **state)
{
    (void) state;
    static const char *const paths[] = {"parent", "", "label", "labelsx", "kind", "\xff"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        owned(labels_clear) struct labels target = make("a", "1", "b", "2");
        owned(labels_clear) struct labels source = make("b", "new", "c", "3");
        char *mask[] = {(char *) "labels.b", (char *) paths[i]};
        struct error error = {0};
        assert_int_equal(labels_update(&target, &source, mask, 2, &error), ERROR_INVALID);
        assert_non_null(strstr(error.message, "update"));
        assert_string_equal(text_of(&target), "a=1 b=2");
    }
}

static void check_limits_the_bytes_of_a_label(void **state)
{
    (void) state;
    char value[4097];
    memset(value, 'v', sizeof value);
    value[4095] = '\0';
    owned(labels_clear) struct labels labels = LABELS_NULL;
    labels_set(&labels, "k", value);
    assert_int_equal(labels_check(&labels, NULL), 0);
    struct error error = {0};
    labels_set(&labels, "kk", value);
    assert_int_equal(labels_check(&labels, &error), ERROR_INVALID);
    assert_string_equal(error.message, "key and value are 4097 bytes, the limit is 4096: label kk");
}

static void check_limits_the_number_of_labels(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    char key[16];
    for (unsigned i = 0; i < 1024; i++) {
        (void) snprintf(key, sizeof key, "%u", i);
        labels_set(&labels, key, "v");
    }
    assert_int_equal(labels_check(&labels, NULL), 0);
    labels_set(&labels, "one more", "v");
    assert_int_equal(labels_check(&labels, NULL), ERROR_INVALID);
}

static void check_refuses_malformed_utf8(void **state)
{
    (void) state;
    owned(labels_clear) struct labels bad_key = make("a", "1", "b\xff", "2");
    owned(labels_clear) struct labels bad_value = make("a", "1", "b", "\xc3(");
    assert_int_equal(labels_check(&bad_key, NULL), ERROR_INVALID);
    assert_int_equal(labels_check(&bad_value, NULL), ERROR_INVALID);
}

static const char *look_up(const struct labels *labels, const char *const *path, size_t count)
{
    const char *value = NULL;
    return labels_lookup(labels, path, count, &value) ? value : NULL;
}

static void a_filter_finds_a_label_by_the_parts_of_its_key(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = make("a.b/c.d", "1", "a", "2");
    static const char *const parts[] = {"labels", "a", "b/c", "d"};
    static const char *const whole[] = {"labels", "a.b/c.d"};
    static const char *const others[] = {"label", "a"};
    assert_string_equal(look_up(&labels, parts, 4), "1");
    assert_string_equal(look_up(&labels, whole, 2), "1");
    assert_string_equal(look_up(&labels, parts, 2), "2");
    assert_null(look_up(&labels, parts, 3));
    assert_null(look_up(&labels, parts, 1));
    assert_null(look_up(&labels, parts, 0));
    assert_null(look_up(&labels, others, 2));
    assert_null(look_up(&LABELS_NULL, parts, 2));
}

static void a_key_longer_than_any_label_is_not_found(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = make("a", "1", "b", "2");
    owned(mem_free) char *key = mem_alloc(8193);
    memset(key, 'a', 8192);
    const char *const path[] = {"labels", key};
    assert_null(look_up(&labels, path, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(labels_are_sorted_by_key_bytes),
        cmocka_unit_test(setting_a_label_again_replaces_its_value),
        cmocka_unit_test(an_empty_value_removes_the_label),
        cmocka_unit_test(many_labels_are_found_again),
        cmocka_unit_test(a_copy_shares_nothing_with_its_source),
        cmocka_unit_test(clearing_twice_is_harmless),
        cmocka_unit_test(an_update_follows_its_mask),
        cmocka_unit_test(the_key_in_a_mask_may_have_dots_and_slashes),
        cmocka_unit_test(an_update_of_another_field_is_refused_and_changes_nothing),
        cmocka_unit_test(a_filter_finds_a_label_by_the_parts_of_its_key),
        cmocka_unit_test(a_key_longer_than_any_label_is_not_found),
        cmocka_unit_test(check_limits_the_bytes_of_a_label),
        cmocka_unit_test(check_limits_the_number_of_labels),
        cmocka_unit_test(check_refuses_malformed_utf8),
    };
    return cmocka_run_group_tests_name("base/labels", tests, NULL, NULL);
}
