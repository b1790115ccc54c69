/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/split.h"

#define FIELD 6

/* Splits a message that lies in slices of step bytes, with empty ones between them. */
static int split_in_steps(const char *bytes, size_t length, size_t step, struct split *out_split)
{
    struct iovec slices[256];
    size_t count = 0;
    for (size_t at = 0; at < length; at += step) {
        slices[count++] = (struct iovec){.iov_base = (char *) bytes + at, .iov_len = 0};
        slices[count++] = (struct iovec){.iov_base = (char *) bytes + at,
                                         .iov_len = length - at < step ? length - at : step};
    }
    struct error error = {0};
    return split_message(slices, count, FIELD, out_split, &error);
}

/* Whatever the slices, the message splits into rest and payload. */
static void expect(const char *bytes, size_t length, const char *rest, size_t rest_length,
                   const char *payload)
{
    for (size_t step = 1; step <= length; step++) {
        struct split split = {0};
        assert_int_equal(split_in_steps(bytes, length, step, &split), 0);
        assert_int_equal(split.rest_length, rest_length);
        if (rest_length > 0)
            assert_memory_equal(split.rest, rest, rest_length);
        char text[64] = "";
        for (size_t i = 0; i < split.payload_count; i++) {
            const char *piece = split.payload[i].iov_base;
            assert_true(split.payload[i].iov_len > 0);
            assert_true(piece >= bytes && piece < bytes + length); /* not copied */
            strncat(text, piece, split.payload[i].iov_len);
        }
        assert_string_equal(text, payload);
        split_clear(&split);
        split_clear(&split);
    }
}

#define EXPECT(literal, rest, payload)                                                             \
    expect(literal, sizeof(literal) - 1, rest, sizeof(rest) - 1, payload)

static void expect_malformed(const char *bytes, size_t length)
{
    for (size_t step = 1; step <= length; step++) {
        struct split split = {0};
        assert_int_equal(split_in_steps(bytes, length, step, &split), ERROR_INVALID);
        assert_null(split.rest);
        assert_null(split.payload);
    }
}

#define EXPECT_MALFORMED(literal) expect_malformed(literal, sizeof(literal) - 1)

static void the_payload_stays_where_it_is_and_the_rest_is_gathered(void **state)
{
    (void) state;
    EXPECT("\x08\x01\x12\x03"
           "ref\x32\x08payloads\x28\x80\x02",
           "\x08\x01\x12\x03"
           "ref\x28\x80\x02",
           "payloads");
    EXPECT("\x32\x03"
           "abc",
           "", "abc");
    EXPECT("\x09\x01\x02\x03\x04\x05\x06\x07\x08\x15\x01\x02\x03\x04\x32\x01x",
           "\x09\x01\x02\x03\x04\x05\x06\x07\x08\x15\x01\x02\x03\x04", "x");
}

static void a_message_without_payload_is_all_rest(void **state)
{
    (void) state;
    EXPECT("\x08\x01", "\x08\x01", "");
    EXPECT("\x08\x01\x32\x00", "\x08\x01", "");
    struct split split;
    assert_int_equal(split_message(NULL, 0, FIELD, &split, NULL), 0);
    assert_int_equal(split.rest_length, 0);
    assert_int_equal(split.payload_count, 0);
    split_clear(&split);
}

static void the_last_of_several_payloads_counts(void **state)
{
    (void) state;
    EXPECT("\x32\x03"
           "abc\x08\x01\x32\x02"
           "de",
           "\x08\x01", "de");
    EXPECT("\x32\x03"
           "abc\x32\x00\x08\x01",
           "\x08\x01", "");
}

static void a_field_inside_another_message_is_no_payload(void **state)
{
    (void) state;
    EXPECT("\x3a\x03\x32\x01"
           "a\x32\x01"
           "b",
           "\x3a\x03\x32\x01"
           "a",
           "b");
}

static void malformed_messages_are_refused(void **state)
{
    (void) state;
    EXPECT_MALFORMED("\x32");
    EXPECT_MALFORMED("\x32\x02"
                     "a");
    EXPECT_MALFORMED("\x08");
    EXPECT_MALFORMED("\x09\x01\x02");
    EXPECT_MALFORMED("\x15\x01\x02");
    EXPECT_MALFORMED("\x00\x01");
    EXPECT_MALFORMED("\x08\x80");
    EXPECT_MALFORMED("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01");
    EXPECT_MALFORMED("\x32\xff\xff\xff\xff\x0f"
                     "a");
    EXPECT_MALFORMED("\x32\x81\x80\x80\x80\x80\x00"
                     "a");
    EXPECT_MALFORMED("\xb2\x80\x80\x80\x80\x00\x01"
                     "a");
    /* something to release when the error comes */
    EXPECT_MALFORMED("\x08\x01\x32\x01"
                     "a\x32");
}

static void the_payload_must_be_bytes(void **state)
{
    (void) state;
    EXPECT_MALFORMED("\x30\x01");
    EXPECT_MALFORMED("\x31\x01\x02\x03\x04\x05\x06\x07\x08");
    EXPECT_MALFORMED("\x35\x01\x02\x03\x04");
}

static void groups_are_refused(void **state)
{
    (void) state;
    EXPECT_MALFORMED("\x33\x34");
    EXPECT_MALFORMED("\x0b\x0c");
    EXPECT_MALFORMED("\x0e");
    EXPECT_MALFORMED("\x0f");
}

static void a_big_rest_is_gathered_as_well(void **state)
{
    (void) state;
    static char bytes[100000];
    for (size_t i = 0; i < sizeof bytes; i += 4)
        memcpy(bytes + i, i % 8 ? "\x32\x02zz" : "\x12\x02xy", 4);
    struct iovec slices[2] = {{.iov_base = bytes, .iov_len = 50001},
                              {.iov_base = bytes + 50001, .iov_len = sizeof bytes - 50001}};
    struct split split;
    assert_int_equal(split_message(slices, 2, FIELD, &split, NULL), 0);
    assert_int_equal(split.rest_length, sizeof bytes / 2);
    for (size_t i = 0; i < split.rest_length; i += 4)
        assert_memory_equal(split.rest + i, "\x12\x02xy", 4);
    assert_int_equal(split.payload_count, 1);
    assert_ptr_equal(split.payload[0].iov_base, bytes + sizeof bytes - 2);
    split_clear(&split);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_payload_stays_where_it_is_and_the_rest_is_gathered),
        cmocka_unit_test(a_message_without_payload_is_all_rest),
        cmocka_unit_test(the_last_of_several_payloads_counts),
        cmocka_unit_test(a_field_inside_another_message_is_no_payload),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(the_payload_must_be_bytes),
        cmocka_unit_test(groups_are_refused),
        cmocka_unit_test(a_big_rest_is_gathered_as_well),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
