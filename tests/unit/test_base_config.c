/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/config.h"
#include "base/mem.h"

/* Writes what the handler sees: one "section|key|value;" for each key. */
struct record {
    char text[1024];
    size_t length;
};

static int append(void *context, const char *section, const char *key,
                  const struct config_value *value, struct error *error)
{
    struct record *record = context;
    if (strcmp(key, "refused") == 0)
        return error_set(error, ERROR_INVALID, "unknown key %s", key);
    size_t room = sizeof record->text - record->length;
    char *end = record->text + record->length;
    int added = 0;
    switch (value->type) {
    case CONFIG_STRING:
        added = snprintf(end, room, "%s|%s|'%s';", section, key, value->string);
        break;
    case CONFIG_INTEGER:
        added = snprintf(end, room, "%s|%s|%lld;", section, key, (long long) value->integer);
        break;
    case CONFIG_BOOLEAN:
        added = snprintf(end, room, "%s|%s|%s;", section, key, value->boolean ? "yes" : "no");
        break;
    }
    record->length += (size_t) added;
    return 0;
}

static int parse(const char *text, struct record *record, struct error *error)
{
    *record = (struct record){.text = ""};
    *error = (struct error){0};
    return config_parse("test.toml", text, strlen(text), append, record, error);
}

struct accepted {
    const char *text;
    const char *expected;
};

static void assert_accepted(const struct accepted *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct record record;
        struct error error;
        int code = parse(cases[i].text, &record, &error);
        if (code != 0 || strcmp(record.text, cases[i].expected) != 0)
            fail_msg("%s\ngave: %s %s", cases[i].text, record.text, error.message);
    }
}

static void keys_come_with_their_section(void **state)
{
    (void) state;
    static const struct accepted cases[] = {
        {"", ""},
        {"\n \t\n# only comments", ""},
        {"a = 1", "|a|1;"},
        {"a=1\nb =2 # two\n  c= 3\t#\n", "|a|1;|b|2;|c|3;"},
        {"a = 1\n[s]\nb = 2\n[s.sub-2]\nb = 3\n[t] # comment", "|a|1;s|b|2;s.sub-2|b|3;"},
        {"[ s.t ]\na-b_9 = 1", "s.t|a-b_9|1;"},
        {"a = 1\r\n[s]\r\nb = 'x'\r\n\r\n", "|a|1;s|b|'x';"},
        {"\xef\xbb\xbf"
         "a = 1",
         "|a|1;"},
    };
    assert_accepted(cases, sizeof cases / sizeof cases[0]);
}

static void strings_are_unquoted(void **state)
{
    (void) state;
    static const struct accepted cases[] = {
        {"a = \"\"", "|a|'';"},
        {"a = ''", "|a|'';"},
        {"a = \"x # y\" # z", "|a|'x # y';"},
        {"a = \"\\n\\t\\\"\\\\\\b\\f\\r\"", "|a|'\n\t\"\\\b\f\r';"},
        {"a = \"\\u00e9\\U0001F600\\u20AC\"", "|a|'\xc3\xa9\xf0\x9f\x98\x80\xe2\x82\xac';"},
        {"a = 'C:\\new \"x\"'", "|a|'C:\\new \"x\"';"},
        {"a = \"\xc3\xa9\t'\"", "|a|'\xc3\xa9\t'';"},
    };
    assert_accepted(cases, sizeof cases / sizeof cases[0]);
}

static void numbers_and_booleans_are_read(void **state)
{
    (void) state;
    static const struct accepted cases[] = {
        {"a = true\nb = false", "|a|yes;|b|no;"},
        {"a = 0\nb = -0\nc = +7", "|a|0;|b|0;|c|7;"},
        {"a = 1_000_000\nb = 0x1F_ff\nc = 0o600\nd = 0b101", "|a|1000000;|b|8191;|c|384;|d|5;"},
        {"a = 9223372036854775807\nb = -9223372036854775808",
         "|a|9223372036854775807;|b|-9223372036854775808;"},
    };
    assert_accepted(cases, sizeof cases / sizeof cases[0]);
}

struct refused {
    const char *text;
    const char *message; /* how it starts, behind "test.toml:" */
};

static void assert_refused(const struct refused *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct record record;
        struct error error;
        char expected[512];
        (void) snprintf(expected, sizeof expected, "test.toml:%s", cases[i].message);
        int code = parse(cases[i].text, &record, &error);
        if (code != ERROR_INVALID || strncmp(error.message, expected, strlen(expected)) != 0)
            fail_msg("%s\ngave %d: %s", cases[i].text, code, error.message);
        assert_int_equal(error.code, code);
    }
}

static void bad_lines_are_named_with_file_and_line(void **state)
{
    (void) state;
    static const struct refused cases[] = {
        {"a", "1: expected key = value"},
        {"\n\na b = 1", "3: expected key = value"},
        {"= 1", "1: expected key = value"},
        {"a.b = 1", "1: expected key = value"},
        {"\"a\" = 1", "1: expected key = value"},
        {"a = 1 2", "1: expected the end of the line"},
        {"a = \"x\"y", "1: expected the end of the line"},
        {"[s", "1: expected [section]"},
        {"[]", "1: expected [section]"},
        {"[s.]", "1: expected [section]"},
        {"[.s]", "1: expected [section]"},
        {"[s..t]", "1: expected [section]"},
        {"[s] x", "1: expected [section]"},
        {"[[s]]", "1: expected [section]"},
        {"[\"s\"]", "1: expected [section]"},
        {"a = 1\r\n\r\nb\r\n", "3: expected key = value"},
        {"a = \xff", "1: not valid UTF-8"},
    };
    assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void bad_strings_are_refused(void **state)
{
    (void) state;
    static const struct refused cases[] = {
        {"a = \"x", "1: the string has no closing quote"},
        {"a = 'x\nb = 1'", "1: the string has no closing quote"},
        {"a = \"x\\\"", "1: the string has no closing quote"},
        {"a = \"x\\", "1: unknown escape"},
        {"a = \"x\r\n\"", "1: the string has no closing quote"},
        {"a = \"\\q\"", "1: unknown escape"},
        {"a = \"\\u12\"", "1: unknown escape"},
        {"a = \"\\u0000\"", "1: unknown escape"},
        {"a = \"\\ud800\"", "1: unknown escape"},
        {"a = \"\\U00110000\"", "1: unknown escape"},
        {"a = \"\"\"x\"\"\"", "1: strings of several lines"},
        {"a = '''x'''", "1: strings of several lines"},
        {"a = \"\x01\"", "1: a control character"},
        {"a = '\x7f'", "1: a control character"},
    };
    assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void other_values_are_refused(void **state)
{
    (void) state;
    static const struct refused cases[] = {
        {"a =", "1: expected a value"},
        {"a = # x", "1: expected a value"},
        {"a = x", "1: expected a value"},
        {"a = True", "1: expected a value"},
        {"a = [1]", "1: expected a value"},
        {"a = {}", "1: expected a value"},
        {"a = 1.5", "1: expected a value"},
        {"a = 1979-05-27", "1: expected a value"},
        {"a = 007", "1: expected a value"},
        {"a = 1__0", "1: expected a value"},
        {"a = _1", "1: expected a value"},
        {"a = 1_", "1: expected a value"},
        {"a = -", "1: expected a value"},
        {"a = +-1", "1: expected a value"},
        {"a = 0x", "1: expected a value"},
        {"a = -0x1", "1: expected a value"},
        {"a = 0b2", "1: expected a value"},
        {"a = 9223372036854775808", "1: the number does not fit"},
        {"a = -9223372036854775809", "1: the number does not fit"},
        {"a = 99999999999999999999999", "1: the number does not fit"},
        {"a = 0xffffffffffffffff", "1: the number does not fit"},
    };
    assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void a_name_given_twice_is_refused(void **state)
{
    (void) state;
    static const struct refused cases[] = {
        {"a = 1\nb = 2\na = 3", "3: already given in line 1, keep one of them: []a"},
        {"[s]\na = 1\na = 1", "3: already given in line 2, keep one of them: [s]a"},
        {"[s]\n[t]\n[s]", "3: already given in line 1, keep one of them: [s]"},
        {"[s]\n[ s ]", "2: already given in line 1"},
    };
    assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void an_error_of_the_handler_gets_file_and_line(void **state)
{
    (void) state;
    static const struct refused cases[] = {
        {"a = 1\nrefused = 2\nb = 3", "2: unknown key refused"},
    };
    assert_refused(cases, sizeof cases / sizeof cases[0]);
}

static void an_embedded_nul_is_refused(void **state)
{
    (void) state;
    struct record record = {.text = ""};
    struct error error = {0};
    int code = config_parse("test.toml", "a = 1\nb\0 = 2", 12, append, &record, &error);
    assert_int_equal(code, ERROR_INVALID);
    assert_string_equal(error.message, "test.toml:2: not valid UTF-8 text: save the file as UTF-8");
}

static void huge_files_and_too_many_names_are_refused(void **state)
{
    (void) state;
    size_t size = (1 << 20) + 1;
    owned(mem_free) char *text = mem_alloc(size + 1);
    memset(text, '\n', size);
    struct record record = {.text = ""};
    assert_int_equal(config_parse("f", text, size - 1, append, &record, NULL), 0);
    assert_int_equal(config_parse("f", text, size, append, &record, NULL), ERROR_INVALID);
    size_t length = 0;
    for (unsigned i = 0; i < 1025; i++)
        length += (size_t) snprintf(text + length, size - length, "[s%u]\n", i);
    struct error error = {0};
    assert_int_equal(config_parse("f", text, length, append, &record, &error), ERROR_INVALID);
    assert_string_equal(error.message, "f:1025: too many keys and sections, the limit is 1024");
}

static void a_file_is_loaded(void **state)
{
    (void) state;
    char path[] = "/tmp/clonefs-config-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    static const char text[] = "[grpc]\naddress = '/run/x.sock'\n";
    assert_int_equal(write(fd, text, sizeof text - 1), sizeof text - 1);
    (void) close(fd);
    struct record record = {.text = ""};
    int code = config_load(path, append, &record, NULL);
    (void) unlink(path);
    assert_int_equal(code, 0);
    assert_string_equal(record.text, "grpc|address|'/run/x.sock';");
}

static void a_file_that_cannot_be_read_is_an_io_error(void **state)
{
    (void) state;
    struct record record = {.text = ""};
    struct error error = {0};
    assert_int_equal(config_load("/nonexistent/x", append, &record, &error), ERROR_IO);
    assert_string_equal(error.message,
                        "cannot open the configuration /nonexistent/x: No such file or directory");
    assert_int_equal(config_load("/", append, &record, &error), ERROR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_come_with_their_section),
        cmocka_unit_test(strings_are_unquoted),
        cmocka_unit_test(numbers_and_booleans_are_read),
        cmocka_unit_test(bad_lines_are_named_with_file_and_line),
        cmocka_unit_test(bad_strings_are_refused),
        cmocka_unit_test(other_values_are_refused),
        cmocka_unit_test(a_name_given_twice_is_refused),
        cmocka_unit_test(an_error_of_the_handler_gets_file_and_line),
        cmocka_unit_test(an_embedded_nul_is_refused),
        cmocka_unit_test(huge_files_and_too_many_names_are_refused),
        cmocka_unit_test(a_file_is_loaded),
        cmocka_unit_test(a_file_that_cannot_be_read_is_an_io_error),
    };
    return cmocka_run_group_tests_name("base/config", tests, NULL, NULL);
}
