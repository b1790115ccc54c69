/* SPDX-License-Identifier: Apache-2.0 */
#include <limits.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/stream.h"
#include "tests/unit/layer_memory.h"

static const struct layer_stream_options plain_options;

/* Takes all of a source; what came is compared with the bytes expected, as far as it came. */
static int take_all(struct memory_source *source, const struct layer_stream_options *options,
                    const void *expected, size_t expected_size, struct error *error)
{
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    struct layer_stream_result result;
    const void *data = NULL;
    size_t size = 0;
    size_t done = 0;
    assert_int_equal(layer_stream_open(&source->base, options, &stream, error), 0);
    int rc = 0;
    while ((rc = layer_stream_next(stream, &data, &size, error)) > 0) {
        assert_true(size > 0);
        assert_true(done + size <= expected_size);
        assert_memory_equal(data, (const uint8_t *) expected + done, size);
        done += size;
    }
    if (rc != 0) {
        /* It stays so. */
        assert_int_equal(layer_stream_next(stream, &data, &size, NULL), rc);
        assert_int_equal(layer_stream_finish(stream, &result, NULL), rc);
        return rc;
    }
    assert_int_equal(done, expected_size);
    assert_int_equal(layer_stream_finish(stream, &result, error), 0);
    struct digest digest = layer_digest(expected, expected_size);
    assert_true(digest_equal(&result.digest, &digest));
    assert_int_equal(result.bytes, expected_size);
    assert_int_equal(result.source_bytes, source->size);
    assert_int_equal(layer_stream_next(stream, &data, &size, error), 0);
    return 0;
}

static int take_bytes(const void *bytes, size_t size, size_t piece, const void *expected,
                      size_t expected_size, struct error *error)
{
    struct memory_source source;
    memory_source_init(&source, bytes, size);
    source.piece = piece;
    return take_all(&source, &plain_options, expected, expected_size, error);
}

static const char *const files[] = {
    "blocks.gz",     "fixed.gz",       "gzip-1.gz",       "gzip-9.gz",       "gzip-name.gz",
    "header-all.gz", "header-long.gz", "huffman.gz",      "header-empty.gz", "igzip.gz",
    "members.gz",    "pigz.gz",        "rle.gz",          "stored.gz",       "zstd-19.zst",
    "zstd-3.zst",    "zstd-fast.zst",  "zstd-frames.zst", "zstd-window.zst",
};
enum { FILES = sizeof files / sizeof files[0] };

static void what_others_compressed_is_inflated(void **state)
{
    (void) state;
    static const size_t pieces[] = {0, 1, 7, 4096};
    size_t lines_size = 0;
    owned(mem_free) char *lines = layer_lines_new(&lines_size);
    for (size_t i = 0; i < FILES; i++) {
        size_t size = 0;
        owned(mem_free) uint8_t *data = layer_file_new(files[i], &size);
        for (size_t j = 0; j < sizeof pieces / sizeof pieces[0]; j++) {
            struct error error = {0};
            if (take_bytes(data, size, pieces[j], lines, lines_size, &error) != 0)
                fail_msg("%s: %s", files[i], error.message);
        }
    }
}

static void raw_layers_stay_as_they_are(void **state)
{
    (void) state;
    static const size_t sizes[] = {1,      2,       7,       8,       262143,  262144,  262145,
                                   524288, 4194303, 4194304, 4194305, 5000000, 8388608, 20000000};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        owned(mem_free) uint8_t *data = layer_sample_new(sizes[i], 1);
        assert_int_equal(take_bytes(data, sizes[i], 0, data, sizes[i], NULL), 0);
        assert_int_equal(take_bytes(data, sizes[i], 4099, data, sizes[i], NULL), 0);
    }
}

static void an_empty_source_is_an_empty_layer(void **state)
{
    (void) state;
    assert_int_equal(take_bytes("", 0, 0, "", 0, NULL), 0);
    size_t size = 0;
    owned(mem_free) uint8_t *skippable = layer_file_new("zstd-skippable.zst", &size);
    assert_int_equal(take_bytes(skippable, size, 0, "", 0, NULL), 0);
}

/* What only begins like a compressed layer is none. */
static void short_beginnings_are_raw(void **state)
{
    (void) state;
    static const struct {
        const char *data;
        size_t size;
    } raw[] = {{"\x1f\x8b", 2},
               {"\x1f\x8b\x07plain", 8},
               {"\x28\xb5\x2f", 3},
               {"\x28\xb5\x2f\xfetext", 8},
               {"\x50\x2a\x4d\x18", 4},
               {"\x50\x2a\x4d\x18\0\0\0", 7},
               {"\x60\x2a\x4d\x18\0\0\0\0", 8},
               {"\x4f\x2a\x4d\x18\0\0\0\0", 8}};
    for (size_t i = 0; i < sizeof raw / sizeof raw[0]; i++) {
        assert_int_equal(take_bytes(raw[i].data, raw[i].size, 0, raw[i].data, raw[i].size, NULL),
                         0);
        assert_int_equal(take_bytes(raw[i].data, raw[i].size, 1, raw[i].data, raw[i].size, NULL),
                         0);
    }
}

static void raw_is_not_sniffed(void **state)
{
    (void) state;
    const struct layer_stream_options options = {.raw = true};
    for (size_t i = 0; i < FILES; i++) {
        struct memory_source source;
        size_t size = 0;
        owned(mem_free) uint8_t *data = layer_file_new(files[i], &size);
        memory_source_init(&source, data, size);
        assert_int_equal(take_all(&source, &options, data, size, NULL), 0);
    }
}

static void expect_failure(const void *data, size_t size, enum error_code code, const char *text)
{
    size_t lines_size = 0;
    owned(mem_free) char *lines = layer_lines_new(&lines_size);
    for (size_t piece = 0; piece < 2; piece++) {
        struct error error = {0};
        int rc = take_bytes(data, size, piece, lines, lines_size, &error);
        if (rc != (int) code || error.code != code || !strstr(error.message, text))
            fail_msg("%d: \"%s\" instead of %d: \"%s\"", rc, error.message, code, text);
    }
}

static void every_truncation_is_an_error(void **state)
{
    (void) state;
    static const char *const cut[] = {"header-all.gz", "zstd-19.zst", "fixed.gz"};
    size_t lines_size = 0;
    owned(mem_free) char *lines = layer_lines_new(&lines_size);
    for (size_t i = 0; i < sizeof cut / sizeof cut[0]; i++) {
        size_t size = 0;
        owned(mem_free) uint8_t *data = layer_file_new(cut[i], &size);
        for (size_t length = 8; length < size;
             length += length < 400 || size - length < 40 ? 1 : 37) {
            struct error error = {0};
            owned(mem_free) uint8_t *copy = mem_alloc(length);
            memcpy(copy, data, length);
            if (take_bytes(copy, length, 0, lines, lines_size, &error) != ERROR_CORRUPT ||
                !strstr(error.message, "ends too early"))
                fail_msg("%s cut to %zu: \"%s\"", cut[i], length, error.message);
        }
    }
}

/* Every bit of the beginning and the end, and some in between. take_all fails for wrong bytes. */
static void flipped_bits_are_found(void **state)
{
    (void) state;
    static const char *const flipped[] = {"members.gz", "zstd-19.zst", "gzip-9.gz", "stored.gz"};
    size_t lines_size = 0;
    owned(mem_free) char *lines = layer_lines_new(&lines_size);
    unsigned refused = 0;
    unsigned tried = 0;
    for (size_t i = 0; i < sizeof flipped / sizeof flipped[0]; i++) {
        size_t size = 0;
        owned(mem_free) uint8_t *data = layer_file_new(flipped[i], &size);
        for (size_t bit = 0; bit < size * 8; bit += bit < 400 || size * 8 - bit < 80 ? 1 : 331) {
            owned(layer_stream_clear) struct layer_stream *stream = NULL;
            struct layer_stream_result result;
            struct memory_source source;
            data[bit / 8] ^= (uint8_t) (1U << bit % 8);
            memory_source_init(&source, data, size);
            assert_int_equal(layer_stream_open(&source.base, &plain_options, &stream, NULL), 0);
            int rc = layer_stream_finish(stream, &result, NULL);
            data[bit / 8] ^= (uint8_t) (1U << bit % 8);
            struct digest raw = layer_digest(lines, lines_size);
            /* A damaged magic number makes it a raw layer; a flip in the time or the name of a
             * header is none of ours. */
            if (rc == 0 && result.bytes != size && !digest_equal(&result.digest, &raw))
                fail_msg("%s with bit %zu flipped was taken", flipped[i], bit);
            refused += rc != 0;
            tried++;
            if (rc != 0 && rc != ERROR_CORRUPT && rc != ERROR_INVALID)
                fail_msg("%s with bit %zu flipped: %d", flipped[i], bit, rc);
        }
    }
    assert_true(refused > tried * 3 / 4);
}

/* As Go's reader has it, padding with zeros included. */
static void only_members_follow_members(void **state)
{
    (void) state;
    static const char no_more[] = "is followed by what is no ";
    static const char early[] = "ends too early";
    static const struct {
        const char *data;
        size_t size;
        const char *gzip_text;
        const char *zstd_text;
    } tails[] = {{"\0", 1, early, early},
                 {"\0\0\0\0\0\0\0\0\0\0\0\0", 12, no_more, no_more},
                 {"this is no header", 17, no_more, no_more},
                 {"\x1f", 1, early, early},
                 {"\x1f\x8b\x08", 3, early, early},
                 {"\x28\xb5\x2f", 3, early, early},
                 {"\x27\xb5\x2f\xfd\0\0\0\0\0\0", 10, no_more, no_more} /* zstd 0.7 */};
    size_t size = 0;
    owned(mem_free) uint8_t *gzip = layer_file_new("gzip-9.gz", &size);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        memcpy(gzip + size, tails[i].data, tails[i].size);
        expect_failure(gzip, size + tails[i].size, ERROR_CORRUPT, tails[i].gzip_text);
    }
    owned(mem_free) uint8_t *zstd = layer_file_new("zstd-3.zst", &size);
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        memcpy(zstd + size, tails[i].data, tails[i].size);
        expect_failure(zstd, size + tails[i].size, ERROR_CORRUPT, tails[i].zstd_text);
    }
}

/* A second member that is right but for its first bytes. */
static void every_header_is_looked_at(void **state)
{
    (void) state;
    size_t size = 0;
    owned(mem_free) uint8_t *data = layer_file_new("gzip-9.gz", &size);
    memcpy(data + size, data, size);
    for (size_t i = 0; i < 3; i++) {
        data[size + i] ^= 1;
        expect_failure(data, 2 * size, ERROR_CORRUPT, "is followed by what is no gzip data");
        data[size + i] ^= 1;
    }
}

static void a_header_with_a_wrong_crc_is_refused(void **state)
{
    (void) state;
    size_t size = 0;
    owned(mem_free) uint8_t *data = layer_file_new("header-crc-wrong.gz", &size);
    expect_failure(data, size, ERROR_CORRUPT, "a header with a wrong CRC");
}

static void trailers_are_checked(void **state)
{
    (void) state;
    size_t size = 0;
    owned(mem_free) uint8_t *data = layer_file_new("gzip-9.gz", &size);
    for (size_t i = 1; i <= 8; i++) {
        data[size - i] ^= 1;
        expect_failure(data, size, ERROR_CORRUPT, "its CRC or its size");
        data[size - i] ^= 1;
    }
    owned(mem_free) uint8_t *zstd = layer_file_new("zstd-3.zst", &size);
    for (size_t i = 1; i <= 4; i++) {
        zstd[size - i] ^= 1;
        expect_failure(zstd, size, ERROR_CORRUPT, "its checksum");
        zstd[size - i] ^= 1;
    }
}

static void windows_are_limited(void **state)
{
    (void) state;
    size_t size = 0;
    owned(mem_free) uint8_t *small = layer_file_new("zstd-window-128m.zst", &size);
    assert_int_equal(take_bytes(small, size, 0, "", 0, NULL), 0);
    owned(mem_free) uint8_t *big = layer_file_new("zstd-window-256m.zst", &size);
    expect_failure(big, size, ERROR_INVALID, "a window of more than 128 MiB");
}

static void errors_of_the_source_pass_unchanged(void **state)
{
    (void) state;
    for (size_t i = 0; i < FILES; i++) {
        struct memory_source source;
        struct error error = {0};
        size_t size = 0;
        size_t lines_size = 0;
        owned(mem_free) char *lines = layer_lines_new(&lines_size);
        owned(mem_free) uint8_t *data = layer_file_new(files[i], &size);
        memory_source_init(&source, data, size);
        source.fails = true;
        assert_int_equal(take_all(&source, &plain_options, lines, lines_size, &error), ERROR_IO);
        assert_string_equal(error.message, "the source failed");
        memory_source_init(&source, data, 0);
        source.fails = true;
        assert_int_equal(take_all(&source, &plain_options, lines, lines_size, NULL), ERROR_IO);
    }
}

/* A zstd frame of blocks that repeat one byte 128 KiB times, four bytes each, 40 GiB in all. */
static uint8_t *zstd_bomb_new(size_t *out_size)
{
    enum { RUNS = 327680, BLOCK = 3 | 131072 << 3 };
    uint8_t *data = mem_alloc(6 + (size_t) RUNS * 4);
    memcpy(data, "\x28\xb5\x2f\xfd\0\x58", 6);
    *out_size = 6;
    for (unsigned i = 0; i < RUNS; i++) {
        unsigned header = (BLOCK & ~1U) | (i == RUNS - 1);
        data[(*out_size)++] = (uint8_t) header;
        data[(*out_size)++] = (uint8_t) (header >> 8);
        data[(*out_size)++] = (uint8_t) (header >> 16);
        data[(*out_size)++] = 0;
    }
    return data;
}

static int drop_bomb(const struct layer_stream_options *options, struct error *error)
{
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    struct layer_stream_result result;
    struct memory_source source;
    size_t size = 0;
    owned(mem_free) uint8_t *data = zstd_bomb_new(&size);
    memory_source_init(&source, data, size);
    source.piece = 4096;
    assert_int_equal(layer_stream_open(&source.base, options, &stream, error), 0);
    return layer_stream_finish(stream, &result, error);
}

static long peak_kib(void)
{
    struct rusage usage;
    (void) getrusage(RUSAGE_SELF, &usage);
    return usage.ru_maxrss;
}

static void bombs_meet_the_limits(void **state)
{
    (void) state;
    long before = peak_kib();
    struct error error = {0};
    struct layer_stream_options options = {.max_bytes = (uint64_t) 300 << 20};
    assert_int_equal(drop_bomb(&options, &error), ERROR_NO_SPACE);
    assert_non_null(strstr(error.message, "more than 314572800 bytes"));
    options = (struct layer_stream_options){.max_ratio = 1200};
    assert_int_equal(drop_bomb(&options, &error), ERROR_INVALID);
    assert_non_null(strstr(error.message, "more than 1200 times"));
    assert_true(peak_kib() - before < 64 << 10);
}

/* 64 MiB are free, so that small layers of zeros pass. */
static void limits_let_pass_what_is_within(void **state)
{
    (void) state;
    const size_t size = 1000000;
    const struct layer_stream_options options = {.max_bytes = size, .max_ratio = 1};
    const struct layer_stream_options less = {.max_bytes = size - 1};
    owned(mem_free) uint8_t *data = layer_sample_new(size, 1);
    struct memory_source source;
    memory_source_init(&source, data, size);
    assert_int_equal(take_all(&source, &options, data, size, NULL), 0);
    memory_source_init(&source, data, size);
    assert_int_equal(take_all(&source, &less, data, size, NULL), ERROR_NO_SPACE);
    size_t lines_size = 0;
    size_t packed_size = 0;
    owned(mem_free) char *lines = layer_lines_new(&lines_size);
    owned(mem_free) uint8_t *packed = layer_file_new("gzip-9.gz", &packed_size);
    memory_source_init(&source, packed, packed_size);
    assert_int_equal(take_all(&source, &options, lines, lines_size, NULL), 0);
}

static void nap(void)
{
    const struct timespec moment = {.tv_nsec = 1000000};
    (void) nanosleep(&moment, NULL);
}

static void *cancel_later(void *argument)
{
    for (int i = 0; i < 20; i++)
        nap();
    cancel_request(argument);
    return NULL;
}

/* The caller is told at once; the source, when it asks. */
static void cancel_reaches_who_waits_for_a_slow_source(void **state)
{
    (void) state;
    struct cancel cancel = {0};
    const struct layer_stream_options options = {.cancel = &cancel};
    struct memory_source source;
    struct layer_stream *stream = NULL;
    const void *data = NULL;
    size_t size = 0;
    pthread_t thread;
    struct error error = {0};
    memory_source_init(&source, "some", 4);
    source.blocks = true;
    assert_int_equal(layer_stream_open(&source.base, &options, &stream, NULL), 0);
    while (!atomic_load(&source.waits))
        nap();
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, &cancel), 0);
    assert_int_equal(layer_stream_next(stream, &data, &size, &error), ERROR_CANCELLED);
    assert_int_equal(error.code, ERROR_CANCELLED);
    assert_true(atomic_load(&source.waits));
    (void) pthread_join(thread, NULL);
    struct layer_stream_result result;
    assert_int_equal(layer_stream_finish(stream, &result, NULL), ERROR_CANCELLED);
    atomic_store(&source.released, true);
    layer_stream_clear(&stream);
    assert_null(stream);
}

static void a_cancelled_source_is_not_read_any_more(void **state)
{
    (void) state;
    struct cancel cancel = {0};
    const struct layer_stream_options options = {.cancel = &cancel};
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    struct memory_source source;
    cancel_request(&cancel);
    memory_source_init(&source, "some", 4);
    assert_int_equal(layer_stream_open(&source.base, &options, &stream, NULL), 0);
    struct layer_stream_result result;
    assert_int_equal(layer_stream_finish(stream, &result, NULL), ERROR_CANCELLED);
    layer_stream_clear(&stream);
    assert_int_equal(atomic_load(&source.reads), 0);
}

/* Cleared right after it was opened, after some blocks, while the ring is full, at the end. */
static void a_stream_can_be_cleared_in_any_state(void **state)
{
    (void) state;
    enum { SIZE = LAYER_STREAM_BYTES + (1 << 20) };
    owned(mem_free) uint8_t *sample = layer_sample_new(SIZE, 1);
    for (int round = 0; round < 80; round++) {
        struct memory_source source;
        struct layer_stream *stream = NULL;
        const void *data = NULL;
        size_t size = 0;
        memory_source_init(&source, sample, SIZE);
        assert_int_equal(layer_stream_open(&source.base, &plain_options, &stream, NULL), 0);
        for (int i = 0; i < round % 40; i++)
            assert_true(layer_stream_next(stream, &data, &size, NULL) >= 0);
        for (int i = 0; round % 3 == 0 && i < 20; i++) /* the ring fills in a few of these */
            nap();
        layer_stream_clear(&stream);
    }
    struct layer_stream *none = NULL;
    layer_stream_clear(&none);
}

/* A source that never gives a byte of output: endless empty frames. */
static void clear_stops_a_decoder_that_finds_nothing(void **state)
{
    (void) state;
    size_t size = 0;
    owned(mem_free) uint8_t *skippable = layer_file_new("zstd-skippable.zst", &size);
    struct memory_source source;
    struct layer_stream *stream = NULL;
    memory_source_init(&source, skippable, size);
    source.repeat = UINT_MAX;
    assert_int_equal(layer_stream_open(&source.base, &plain_options, &stream, NULL), 0);
    while (atomic_load(&source.reads) < 1000)
        nap();
    layer_stream_clear(&stream);
    assert_true(source.repeat > 0);
}

/* Whoever holds a block while all others move on finds it unchanged. */
static void a_block_lives_until_the_next_call(void **state)
{
    (void) state;
    enum { SIZE = LAYER_STREAM_BYTES + (4 << 20) };
    owned(mem_free) uint8_t *sample = layer_sample_new(SIZE, 2);
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    struct memory_source source;
    const void *data = NULL;
    size_t size = 0;
    size_t done = 0;
    memory_source_init(&source, sample, SIZE);
    assert_int_equal(layer_stream_open(&source.base, &plain_options, &stream, NULL), 0);
    while (layer_stream_next(stream, &data, &size, NULL) > 0) {
        nap();
        assert_memory_equal(data, sample + done, size);
        done += size;
    }
    assert_int_equal(done, SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_compressed_is_inflated),
        cmocka_unit_test(raw_layers_stay_as_they_are),
        cmocka_unit_test(an_empty_source_is_an_empty_layer),
        cmocka_unit_test(short_beginnings_are_raw),
        cmocka_unit_test(raw_is_not_sniffed),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(flipped_bits_are_found),
        cmocka_unit_test(only_members_follow_members),
        cmocka_unit_test(every_header_is_looked_at),
        cmocka_unit_test(a_header_with_a_wrong_crc_is_refused),
        cmocka_unit_test(trailers_are_checked),
        cmocka_unit_test(windows_are_limited),
        cmocka_unit_test(errors_of_the_source_pass_unchanged),
        cmocka_unit_test(bombs_meet_the_limits),
        cmocka_unit_test(limits_let_pass_what_is_within),
        cmocka_unit_test(cancel_reaches_who_waits_for_a_slow_source),
        cmocka_unit_test(a_cancelled_source_is_not_read_any_more),
        cmocka_unit_test(a_stream_can_be_cleared_in_any_state),
        cmocka_unit_test(clear_stops_a_decoder_that_finds_nothing),
        cmocka_unit_test(a_block_lives_until_the_next_call),
    };
    return cmocka_run_group_tests_name("diff/stream", tests, NULL, NULL);
}
