/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/utf8.h"

enum { MESSAGE_SIZE = sizeof((struct error *) 0)->message };

static void raising_an_error_fills_code_and_message(void **state)
{
    (void) state;
    struct error error = {.sys = 7};
    assert_int_equal(error_set(&error, ERROR_NOT_FOUND, "no snapshot %s", "k"), ERROR_NOT_FOUND);
    assert_int_equal(error.code, ERROR_NOT_FOUND);
    assert_int_equal(error.sys, 0);
    assert_string_equal(error.message, "no snapshot k");
}

static void no_error_to_fill_is_allowed(void **state)
{
    (void) state;
    assert_int_equal(error_set(NULL, ERROR_BUSY, "x"), ERROR_BUSY);
    errno = EACCES;
    assert_int_equal(error_errno(NULL, "x"), ERROR_IO);
    assert_int_equal(error_wrap(NULL, "x"), ERROR_INTERNAL);
}

static void errno_becomes_code_and_text(void **state)
{
    (void) state;
    struct error error;
    errno = ENOENT;
    assert_int_equal(error_errno(&error, "cannot open %s", "f"), ERROR_IO);
    assert_string_equal(error.message, "cannot open f: No such file or directory");
    assert_int_equal(error.sys, ENOENT);
    assert_int_equal(errno, ENOENT);
}

static void a_full_volume_has_its_own_code(void **state)
{
    (void) state;
    struct error error;
    errno = ENOSPC;
    assert_int_equal(error_errno(&error, "write"), ERROR_NO_SPACE);
    errno = EDQUOT;
    assert_int_equal(error_errno(&error, "write"), ERROR_NO_SPACE);
    assert_false(error_is_no_space(EIO));
}

static void wrapping_says_what_was_done_and_keeps_the_code(void **state)
{
    (void) state;
    struct error error;
    (void) error_set(&error, ERROR_EXISTS, "the name is taken");
    assert_int_equal(error_wrap(&error, "commit %s", "k"), ERROR_EXISTS);
    assert_string_equal(error.message, "commit k: the name is taken");
}

/* Whatever the cut meets, the text stays well-formed: a for each offset of a long character. */
static void a_long_message_is_cut_between_characters(void **state)
{
    (void) state;
    for (int offset = 0; offset < 4; offset++) {
        char text[2 * MESSAGE_SIZE];
        memset(text, 'a', (size_t) offset);
        for (size_t i = (size_t) offset; i + 4 < sizeof text; i += 4)
            memcpy(text + i, "\xf0\x9f\x98\x80", 5);
        struct error error;
        (void) error_set(&error, ERROR_INVALID, "%s", text);
        size_t length = strlen(error.message);
        assert_true(length >= MESSAGE_SIZE - 4 && length < MESSAGE_SIZE);
        assert_true(utf8_valid(error.message, length));
        (void) error_wrap(&error, "one more \xc3\xa9");
        assert_true(utf8_valid(error.message, strlen(error.message)));
        errno = EIO;
        (void) error_errno(&error, "%s", text);
        assert_true(utf8_valid(error.message, strlen(error.message)));
    }
}

static void a_message_that_just_fits_is_not_cut(void **state)
{
    (void) state;
    char text[MESSAGE_SIZE];
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 3, "\xc3\xa9", 3);
    struct error error;
    (void) error_set(&error, ERROR_INVALID, "%s", text);
    assert_string_equal(error.message, text);
}

static void log_levels_have_names(void **state)
{
    (void) state;
    enum log_level level = LOG_LEVEL_ERROR;
    assert_true(log_level_parse("debug", &level));
    assert_int_equal(level, LOG_LEVEL_DEBUG);
    assert_true(log_level_parse("error", &level));
    assert_int_equal(level, LOG_LEVEL_ERROR);
    assert_false(log_level_parse("Error", &level));
    assert_false(log_level_parse("", &level));
}

static void only_what_is_important_enough_is_logged(void **state)
{
    (void) state;
    log_set_level(LOG_LEVEL_WARN);
    assert_true(log_enabled(LOG_LEVEL_ERROR));
    assert_true(log_enabled(LOG_LEVEL_WARN));
    assert_false(log_enabled(LOG_LEVEL_INFO));
    log_set_level(LOG_LEVEL_INFO);
}

/* Runs log_warn with standard error in a pipe. */
static void capture(const char *text, char *out, size_t size)
{
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    int saved = dup(STDERR_FILENO);
    assert_true(dup2(ends[1], STDERR_FILENO) >= 0);
    log_warn("%s", text);
    (void) dup2(saved, STDERR_FILENO);
    fd_close(&saved);
    fd_close(&ends[1]);
    ssize_t got = read(ends[0], out, size - 1);
    fd_close(&ends[0]);
    assert_true(got > 0);
    out[got] = '\0';
}

static void a_line_of_the_log_cannot_be_forged(void **state)
{
    (void) state;
    char line[512];
    capture("key a\nerror fake\x1b[0m", line, sizeof line);
    assert_non_null(strstr(line, "Z warn  key a\\x0aerror fake\\x1b[0m\n"));
    assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void a_long_line_of_the_log_is_cut_and_ends(void **state)
{
    (void) state;
    char text[8192];
    char line[8192];
    memset(text, '\n', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    capture(text, line, sizeof line);
    assert_true(strlen(line) <= 4224);
    assert_int_equal(line[strlen(line) - 1], '\n');
}

static void a_fallback_counts_and_is_new_once(void **state)
{
    (void) state;
    atomic_ulong counter = 0;
    assert_true(log_count(&counter));
    assert_false(log_count(&counter));
    assert_int_equal(counter, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(raising_an_error_fills_code_and_message),
        cmocka_unit_test(no_error_to_fill_is_allowed),
        cmocka_unit_test(errno_becomes_code_and_text),
        cmocka_unit_test(a_full_volume_has_its_own_code),
        cmocka_unit_test(wrapping_says_what_was_done_and_keeps_the_code),
        cmocka_unit_test(a_long_message_is_cut_between_characters),
        cmocka_unit_test(a_message_that_just_fits_is_not_cut),
        cmocka_unit_test(log_levels_have_names),
        cmocka_unit_test(only_what_is_important_enough_is_logged),
        cmocka_unit_test(a_line_of_the_log_cannot_be_forged),
        cmocka_unit_test(a_long_line_of_the_log_is_cut_and_ends),
        cmocka_unit_test(a_fallback_counts_and_is_new_once),
    };
    return cmocka_run_group_tests_name("base/error", tests, NULL, NULL);
}
