/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/unicode.h"
#include "base/utf8.h"

static bool valid(const char *text)
{
    return utf8_valid(text, strlen(text));
}

static void well_formed_text_is_valid(void **state)
{
    (void) state;
    assert_true(valid(""));
    assert_true(valid("plain"));
    assert_true(valid("\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80\xef\xbf\xbf"));
    assert_true(valid("\xf0\x90\x80\x80\xf4\x8f\xbf\xbf"));
    assert_true(valid("\xed\x9f\xbf\xee\x80\x80")); /* around the surrogates */
    assert_true(utf8_valid("a\0b", 3));
}

static void malformed_text_is_not_valid(void **state)
{
    (void) state;
    static const char *const texts[] = {
        "\x80",             /* a continuation alone */
        "\xc3",             /* cut off */
        "\xe2\x82",         /* cut off */
        "\xf0\x9f\x98",     /* cut off */
        "\xc3(",            /* no continuation */
        "\xe2\x82(",        /* no continuation */
        "\xc0\x80",         /* overlong NUL */
        "\xc1\xbf",         /* overlong */
        "\xe0\x9f\xbf",     /* overlong */
        "\xf0\x8f\xbf\xbf", /* overlong */
        "\xed\xa0\x80",     /* surrogate */
        "\xed\xbf\xbf",     /* surrogate */
        "\xf4\x90\x80\x80", /* above U+10FFFF */
        "\xf8\x88\x80\x80\x80",
        "\xff",
    };
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        char text[16];
        (void) strcpy(text, "ok ");
        (void) strcat(text, texts[i]);
        assert_false(valid(texts[i]));
        assert_false(valid(text));
    }
}

static void the_length_bounds_what_is_read(void **state)
{
    (void) state;
    assert_false(utf8_valid("\xe2\x82\xac", 2));
    assert_true(utf8_valid("a\xff", 1));
    uint32_t character;
    assert_int_equal(utf8_decode("\xe2\x82\xac", 2, &character), 0);
    assert_int_equal(utf8_decode("a", 0, &character), 0);
}

static void every_character_survives_encode_and_decode(void **state)
{
    (void) state;
    for (uint32_t character = 0; character <= 0x110000; character++) {
        char bytes[UTF8_LONGEST];
        uint32_t decoded = 0;
        bool exists = character <= 0x10ffff && (character < 0xd800 || character > 0xdfff);
        size_t size = utf8_encode(character, bytes);
        assert_int_equal(size > 0, exists);
        if (exists) {
            assert_int_equal(utf8_decode(bytes, size, &decoded), size);
            assert_int_equal(decoded, character);
        }
    }
}

static size_t graphic(const char *text)
{
    return unicode_graphic_span(text, strlen(text));
}

static void a_graphic_span_ends_at_spaces_and_controls(void **state)
{
    (void) state;
    assert_int_equal(graphic(""), 0);
    assert_int_equal(graphic("a=b~!"), 5);
    assert_int_equal(graphic("a b"), 1);
    assert_int_equal(graphic("a\x01"), 1);
    assert_int_equal(graphic("a\x7f"), 1);
    assert_int_equal(graphic("\xc3\xa9t\xc3\xa9 x"), 5);
    assert_int_equal(graphic("a\xe2\x82\xac\xcc\x81\xd9\xa3\xc2\xa0"), 8); /* up to U+00A0 */
    assert_int_equal(graphic("a\xe2\x80\x8b"), 1);                         /* U+200B, a format */
    assert_int_equal(graphic("a\xee\x80\x80"), 1);                         /* private use */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_text_is_valid),
        cmocka_unit_test(malformed_text_is_not_valid),
        cmocka_unit_test(the_length_bounds_what_is_read),
        cmocka_unit_test(every_character_survives_encode_and_decode),
        cmocka_unit_test(a_graphic_span_ends_at_spaces_and_controls),
    };
    return cmocka_run_group_tests_name("base/utf8", tests, NULL, NULL);
}
