/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "rpc/arena.h"
#include "rpc/wire.h"
#include "snapshots.pb-c.h"

#define PREPARE (&containerd__services__snapshots__v1__prepare_snapshot_request__descriptor)

static int check(const char *bytes, size_t length)
{
    struct error error = {0};
    return wire_check(PREPARE, (const uint8_t *) bytes, length, &error);
}

#define CHECK(literal) check(literal, sizeof(literal) - 1)

static void well_formed_messages_pass(void **state)
{
    (void) state;
    assert_int_equal(CHECK(""), 0);
    assert_int_equal(CHECK("\x0a\x01"
                           "s"
                           "\x12\x03\xe2\x82\xac"),
                     0);
    /* a label: field 4 { key "a" value "" } */
    assert_int_equal(CHECK("\x22\x05\x0a\x01"
                           "a"
                           "\x12\x00"),
                     0);
}

static void unknown_fields_are_skipped_whatever_they_hold(void **state)
{
    (void) state;
    assert_int_equal(CHECK("\x7a\x02\x00\xff"), 0);
    assert_int_equal(CHECK("\x78\x81\x01"), 0);
    assert_int_equal(CHECK("\x79\x01\x02\x03\x04\x05\x06\x07\x08"), 0);
    assert_int_equal(CHECK("\x7d\x01\x02\x03\x04"), 0);
}

static void strings_with_nul_or_bad_utf8_are_refused(void **state)
{
    (void) state;
    assert_int_equal(CHECK("\x12\x02"
                           "a\0"),
                     ERROR_INVALID);
    assert_int_equal(CHECK("\x12\x01\xff"), ERROR_INVALID);
    assert_int_equal(CHECK("\x22\x04\x0a\x02"
                           "a\0"),
                     ERROR_INVALID);
}

static void malformed_messages_are_refused(void **state)
{
    (void) state;
    assert_int_equal(CHECK("\x12"), ERROR_INVALID);
    assert_int_equal(CHECK("\x12\x05"
                           "ab"),
                     ERROR_INVALID);
    assert_int_equal(CHECK("\x00"), ERROR_INVALID);
    assert_int_equal(CHECK("\x0b"), ERROR_INVALID);
    assert_int_equal(CHECK("\x12\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), ERROR_INVALID);
    assert_int_equal(CHECK("\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), ERROR_INVALID);
    assert_int_equal(CHECK("\x22\x02\x0a\x05"), ERROR_INVALID);
}

/* What wire_check lets through protobuf-c must either unpack or refuse, without harm. */
static void every_short_message_is_handled(void **state)
{
    (void) state;
    uint8_t bytes[3];
    for (uint32_t n = 0; n < 1 << 24; n += 7) {
        bytes[0] = (uint8_t) n;
        bytes[1] = (uint8_t) (n >> 8);
        bytes[2] = (uint8_t) (n >> 16);
        if (wire_check(PREPARE, bytes, sizeof bytes, NULL) != 0)
            continue;
        struct arena arena;
        arena_init(&arena);
        (void) protobuf_c_message_unpack(PREPARE, &arena.allocator, sizeof bytes, bytes);
        arena_clear(&arena);
    }
}

static void an_arena_gives_aligned_zeroed_memory_up_to_its_limit(void **state)
{
    (void) state;
    struct arena arena;
    arena_init(&arena);
    for (size_t size = 0; size < 5000; size += 37) {
        unsigned char *memory = arena_alloc(&arena, size);
        assert_non_null(memory);
        assert_int_equal((uintptr_t) memory % 16, 0);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(memory[i], 0);
        memset(memory, 0xff, size);
    }
    assert_null(arena_alloc(&arena, ARENA_LIMIT));
    assert_null(arena_alloc(&arena, SIZE_MAX));
    assert_non_null(arena_alloc(&arena, ARENA_LIMIT / 2));
    assert_null(arena_alloc(&arena, ARENA_LIMIT / 2));
    arena_clear(&arena);
    arena_clear(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed_messages_pass),
        cmocka_unit_test(unknown_fields_are_skipped_whatever_they_hold),
        cmocka_unit_test(strings_with_nul_or_bad_utf8_are_refused),
        cmocka_unit_test(malformed_messages_are_refused),
        cmocka_unit_test(every_short_message_is_handled),
        cmocka_unit_test(an_arena_gives_aligned_zeroed_memory_up_to_its_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
