/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/filter.h"

struct object {
    const char *name;
    const char *parent;
    const char *kind;
    struct {
        const char *key;
        const char *value;
    } labels[4];
};

static const struct object objects[] = {
    {"foo", "", "active", {{NULL, NULL}}},
    {"bar", "foo", "view", {{"a", "1"}, {"a.b", "2"}, {"containerd.io/gc.root", "x y"}}},
    {"default/1/extract-4 sha256:6898",
     "default/2/sha256:abc",
     "committed",
     {{"a", "aaa\n"}, {"", "empty"}}},
    {"\xc3\xa9t\xc3\xa9 \xce\xb1", "line1\nline2", "active", {{"foo", "AbC\v"}, {"_0", "\t"}}},
    {"aaaaaaaaaaaaaaaab", "xy", "committed", {{"a", "[](){}\\*+?|.^$-"}}},
};

enum { OBJECT_COUNT = sizeof objects / sizeof objects[0] };

static bool find_label(const struct object *object, const char *key, const char **out_value)
{
    for (size_t i = 0; i < 4 && object->labels[i].key; i++) {
        if (strcmp(object->labels[i].key, key) == 0) {
            *out_value = object->labels[i].value;
            return true;
        }
    }
    return false;
}

static bool look_up(const void *context, const char *const *path, size_t count,
                    const char **out_value)
{
    const struct object *object = context;
    char key[256];
    if (strcmp(path[0], "name") == 0)
        *out_value = object->name;
    else if (strcmp(path[0], "parent") == 0)
        *out_value = object->parent;
    else if (strcmp(path[0], "kind") == 0)
        *out_value = object->kind;
    else
        return strcmp(path[0], "labels") == 0 && filter_join(path, 1, count, key, sizeof key) &&
               find_label(object, key, out_value);
    return true;
}

/* A filter, and for each object whether containerd's own implementation (1.6) says that it
 * matches; NULL where that refuses the filter. */
struct known {
    const char *filter;
    const char *matches;
};

static void assert_as_containerd(const struct known *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        owned(filter_list_clear) struct filter_list *list = NULL;
        char *text = (char *) cases[i].filter;
        char matches[OBJECT_COUNT + 1] = "";
        struct error error = {0};
        int code = filter_list_parse(&text, 1, &list, &error);
        for (size_t j = 0; code == 0 && j < OBJECT_COUNT; j++)
            matches[j] = filter_list_match(list, look_up, &objects[j]) ? '1' : '0';
        if (!cases[i].matches ? code != ERROR_INVALID : strcmp(matches, cases[i].matches) != 0)
            fail_msg("%s: %s, got %s %s", cases[i].filter,
                     cases[i].matches ? cases[i].matches : "an error", matches, error.message);
    }
}

static void the_syntax_is_that_of_containerd(void **state)
{
    (void) state;
    static const struct known cases[] = {
        {"", "11111"},
        {"name==foo", "10000"},
        {"name", "11111"},
        {"x", "00000"},
        {"labels", "00100"},
        {"labels.a", "01101"},
        {"labels.a.b", "01000"},
        {"labels.\"a.b\"", "01000"},
        {"labels.\"containerd.io/gc.root\"", "01000"},
        {"labels.\"\"", "00100"},
        {"labels.foo", "00010"},
        {"\"name\"==\"foo\"", "10000"},
        {"\"na\\x6de\"==foo", "10000"},
        {"name==foo,parent==\"\"", "10000"},
        {"name==foo,kind==view", "00000"},
        {"kind!=active", "01101"},
        {"x!=y", "11111"},
        {"x==\"\"", "00000"},
        {"x!=\"\"", "00000"},
        {"labels.a!=1", "10111"},
        {"labels.none!=1", "11111"},
        {" name==foo", "10000"},
        {"name ==foo", "10000"},
        {"name== foo", "10000"},
        {"name==\t\n\xc2\xa0\xe3\x80\x80"
         "foo",
         "10000"},
        {"labels . a", NULL},
        {"labels. a", "01101"},
        {"name==bar, parent==foo", "01000"},
        {"name==bar,\xe2\x80\x83parent==foo", "01000"},
        {"name==foo ", NULL},
        {"name ", NULL},
        {" ", NULL},
        {"name==foo\xe2\x80\xa8", NULL},
        {"name,parent", "11111"},
        {",name", NULL},
        {"name,", NULL},
        {"name,,parent", NULL},
        {"name ,parent", NULL},
        {"name==", NULL},
        {"name= =foo", NULL},
        {"name=foo", NULL},
        {"name===foo", NULL},
        {"name!==foo", NULL},
        {"name=~foo", NULL},
        {"name~foo", NULL},
        {"name!foo", NULL},
        {"==foo", NULL},
        {".name", NULL},
        {"name.", NULL},
        {"name..x", NULL},
        {"'name'==foo", NULL},
        {"name=='foo'", "00000"},
        {"na-me==foo", NULL},
        {"labels.a/b==1", NULL},
        {"/name/==foo", NULL},
        {"|name|==foo", NULL},
        {"name==/foo/", NULL},
        {"name!=|foo|", NULL},
        {"name==foo,", NULL},
        {"name==x=y", "00000"},
        {"name==a.b/c:d\"e~f!g", "00000"},
        {"name==\"foo\"bar", NULL},
        {"name==\"foo\" ,parent", NULL},
        {"name==.a", NULL},
        {"name==,", NULL},
        {"name==\"foo", NULL},
        {"name==\"foo\n\"", NULL},
        {"name==\x01", "00000"},
        {"name==a\x01", NULL},
        {"name==\xe2\x80\x8b", "00000"},
        {"name==a\xe2\x80\x8b"
         "b",
         NULL},
        {"name==\xc3\xa9t\xc3\xa9\xe2\x82\xac", "00000"},
        {"name==a\xcc\x81", "00000"},
        {"name==\xee\x80\x80", "00000"},
        {"name==a\xee\x80\x80", NULL},
        {"name==a\xef\xbf\xbd", NULL},
        {"name==\"\xef\xbf\xbd\"", NULL},
        {"\xc3\xa9==x", NULL},
        {"name==\"default/1/extract-4 sha256:6898\"", "00100"},
        {"parent==default/2/sha256:abc", "00100"},
        {"name~=\"\"", "11111"},
        {"!name", NULL},
    };
    assert_as_containerd(cases, sizeof cases / sizeof cases[0]);
}

static void escapes_are_those_of_containerd(void **state)
{
    (void) state;
    static const struct known cases[] = {
        {"labels.a==\"aaa\\n\"", "00100"},
        {"labels.a==\"aaa\\012\"", "00100"},
        {"labels.a==\"aaa\\x0a\"", "00100"},
        {"labels.a==\"aaa\\u000a\"", "00100"},
        {"labels.a==\"aaa\\U0000000a\"", "00100"},
        {"labels.foo==\"AbC\\v\"", "00010"},
        {"labels._0==\"\\t\"", "00010"},
        {"name==\"\\a\\b\\f\\r\\\\\\\"\"", "00000"},
        {"name==\"\\u00e9t\\xc3\\xa9 \\316\\261\"", "00010"},
        {"name==\"\\ufffd\"", "00000"},
        {"name==\"\\ud800\"", "00000"},
        {"name==\"\\xff\"", "00000"},
        {"name==\"\\400\"", NULL},
        {"name==\"\\U00110000\"", NULL},
        {"name==\"\\q\"", NULL},
        {"name==\"\\'\"", NULL},
        {"name==\"\\/\"", NULL},
        {"name~=/\\//", "00100"},
        {"name~=|\\||", "11111"},
        {"name~=/\\|/", NULL},
        {"name~=\"\\\"\"", "00000"},
        {"name==\"\\x4\"", NULL},
        {"name==\"\\u00e\"", NULL},
        {"name==\"\\18\"", NULL},
        {"name==\"\\\"", NULL},
        {"name==\"\\", NULL},
        {"name~=/\\d/", NULL},
        {"name!=\"\\n\"", "11111"},
    };
    assert_as_containerd(cases, sizeof cases / sizeof cases[0]);
}

static void regular_expressions_are_those_of_go(void **state)
{
    (void) state;
    static const struct known cases[] = {
        {"name~=o", "10000"},
        {"name~=^f", "10000"},
        {"name~=/^foo$/", "10000"},
        {"name~=/^[a-z]+$/", "11001"},
        {"name~=\"a{17}b\"", "00000"},
        {"labels.a~=/^a+$/", "00000"},
        {"labels.a~=/a\\\\n$/", "00100"},
        {"labels.a~=/(?m)a$/", "00100"},
        {"labels.a~=/a.$/", "00000"},
        {"labels.a~=/(?s)a.$/", "00100"},
        {"parent~=/^line2/", "00000"},
        {"parent~=/(?m)^line2$/", "00010"},
        {"parent~=/1.l/", "00000"},
        {"parent~=/[^x]/", "01111"},
        {"labels.a~=/(?m)^$/", "10110"},
        {"name~=/^\\\\p{L}+ \\\\p{Greek}$/", "00010"},
        {"name~=/\\\\pL/", "11111"},
        {"name~=/\\\\p{^L}/", "00110"},
        {"name~=/\\\\p{greek}/", "00000"},
        {"name~=/\\\\p{Grek}/", "00000"},
        {"name~=/\\\\p{Xan}/", "00000"},
        {"name~=/\\\\p{Foo}/", "00000"},
        {"name~=/(?i)FOO/", "10000"},
        {"name~=/(?i:\xc3\x89)T/", "00000"},
        {"name~=/(?i)\xc3\x89T/", "00010"},
        {"name~=/(?i-i)FOO|bar/", "01000"},
        {"name~=/\\\\bfoo\\\\b/", "10000"},
        {"name~=/\\\\Afoo\\\\z/", "10000"},
        {"name~=/foo\\\\Z/", "00000"},
        {"labels.foo~=/C\\\\s/", "00000"},
        {"labels.foo~=/C[\\\\S]/", "00010"},
        {"labels.foo~=/C\\\\v/", "00010"},
        {"labels.foo~=/C\\\\S/", "00010"},
        {"labels._0~=/\\\\s/", "00010"},
        {"labels.a~=/^[[]]/", "00001"},
        {"labels.a~=/^[[]\\\\]\\\\(\\\\)/", "00001"},
        {"labels.a~=/[]]/", "00001"},
        {"labels.a~=/\\\\Q[](){}\\\\*+?|\\\\E/", "00001"},
        {"labels.a~=/[-a]$/", "00001"},
        {"labels.a~=/[*-+]/", "00001"},
        {"labels.a~=/[[:punct:]]/", "00001"},
        {"name~=/[[:alpha:]]{3}/", "11101"},
        {"name~=/[[:foo:]]/", "00000"},
        {"name~=/[[:^alpha:]]/", "00110"},
        {"name~=/[a-\\\\d]/", "00000"},
        {"name~=/[\\\\d-z]/", "00100"},
        {"name~=/[b-a]/", "00000"},
        {"name~=/\\\\x61/", "01101"},
        {"name~=/\\\\x{61}/", "01101"},
        {"name~=/\\\\x{3b1}/", "00010"},
        {"name~=/\\\\x{110000}/", "00000"},
        {"name~=/\\\\141/", "01101"},
        {"name~=/\\\\1/", "00000"},
        {"name~=/(a)\\\\1/", "00000"},
        {"name~=/(?P<x>a)(?P=x)/", "00000"},
        {"name~=/(?P<x>o)/", "10000"},
        {"name~=/(?P<>o)/", "00000"},
        {"name~=/foo(?=)/", "00000"},
        {"name~=/foo(?!x)/", "00000"},
        {"name~=/(?<=f)o/", "00000"},
        {"name~=/(?<!x)o/", "00000"},
        {"name~=/(?>o)/", "00000"},
        {"name~=/(?|o)/", "00000"},
        {"name~=/(?#x)o/", "00000"},
        {"name~=/(?R)?o/", "00000"},
        {"name~=/(?1)o/", "00000"},
        {"name~=/(?C1)o/", "00000"},
        {"name~=/(?(?=o)o)/", "00000"},
        {"name~=/(?x)o/", "00000"},
        {"name~=/(*UTF8)o/", "00000"},
        {"name~=/(*LIMIT_MATCH=1)o/", "00000"},
        {"name~=/(*COMMIT)o/", "00000"},
        {"name~=/o++/", "00000"},
        {"name~=/o*+/", "00000"},
        {"name~=/o?+/", "00000"},
        {"name~=/o**/", "00000"},
        {"name~=/o{1}{2}/", "00000"},
        {"name~=/o{2}/", "10000"},
        {"name~=/o{,2}/", "00000"},
        {"name~=/o{2,}/", "10000"},
        {"name~=/o{2,1}/", "00000"},
        {"name~=/o{1001}/", "00000"},
        {"name~=/(a{40}){40}/", "00000"},
        {"name~=/(a{4}){4}/", "00001"},
        {"name~=/x{/", "00000"},
        {"name~=/*/", "00000"},
        {"name~=/(/", "00000"},
        {"name~=/)/", "00000"},
        {"name~=/[/", "00000"},
        {"name~=/\\\\/", "00000"},
        {"name~=/\\\\K/", "00000"},
        {"name~=/\\\\Ro?/", "00000"},
        {"name~=/\\\\C/", "00000"},
        {"name~=/\\\\N{U+61}/", "00000"},
        {"name~=/\\\\g1/", "00000"},
        {"name~=/\\\\G/", "00000"},
        {"name~=/\\\\e|o/", "00000"},
        {"name~=/\\\\cA|o/", "00000"},
        {"name~=/a||b/", "11111"},
        {"name~=/()/", "11111"},
        {"name~=/(?U)o+?/", "10000"},
        {"name~=/(?)o/", "10000"},
        {"name~=/(?i-)o/", "00000"},
        {"name~=\"\\xff|o\"", "00000"},
        {"name~=\"\\xc3\\xa9\"", "00010"},
        {"x~=/^$/", "11111"},
        {"x~=o", "00000"},
        {"(?i)x~=o", NULL},
    };
    assert_as_containerd(cases, sizeof cases / sizeof cases[0]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_syntax_is_that_of_containerd),
        cmocka_unit_test(escapes_are_those_of_containerd),
        cmocka_unit_test(regular_expressions_are_those_of_go),
    };
    return cmocka_run_group_tests_name("base/filter_parse", tests, NULL, NULL);
}
