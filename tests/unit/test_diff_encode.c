/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/encode.h"
#include "diff/stream.h"
#include "tests/unit/layer_memory.h"

static const enum layer_compression compressions[] = {LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD};
enum { COMPRESSIONS = sizeof compressions / sizeof compressions[0] };

/* Adds data in parts of random size, or in one for cuts = 0. */
static int add_cut(struct layer_encoder *encoder, const uint8_t *data, size_t size, unsigned cuts,
                   struct error *error)
{
    uint32_t state = cuts;
    int rc = 0;
    while (rc == 0 && size > 0) {
        state = state * 1664525U + 1013904223U;
        size_t part = cuts ? (state >> 8) % (1U << (state & 31) % 23) + 1 : size;
        if (part > size)
            part = size;
        rc = layer_encoder_add(encoder, data, part, error);
        data += part;
        size -= part;
    }
    return rc;
}

static int encode(const struct layer_encoder_options *options, struct memory_sink *sink,
                  const uint8_t *data, size_t size, unsigned cuts, struct error *error)
{
    owned(layer_encoder_clear) struct layer_encoder *encoder = NULL;
    struct layer_encoder_result result;
    assert_int_equal(layer_encoder_open(&sink->base, options, &encoder, error), 0);
    int rc = add_cut(encoder, data, size, cuts, error);
    if (rc == 0)
        rc = layer_encoder_finish(encoder, &result, error);
    if (rc != 0)
        return rc;
    struct digest plain = layer_digest(data, size);
    struct digest packed = layer_digest(sink->data, sink->size);
    assert_true(digest_equal(&result.plain_digest, &plain));
    assert_true(digest_equal(&result.digest, &packed));
    assert_int_equal(result.plain_bytes, size);
    assert_int_equal(result.bytes, sink->size);
    return 0;
}

static void assert_decodes(const struct memory_sink *sink, const uint8_t *data, size_t size)
{
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    const struct layer_stream_options options = {0};
    struct layer_stream_result result;
    struct memory_source source;
    struct digest plain = layer_digest(data, size);
    memory_source_init(&source, sink->data, sink->size);
    assert_int_equal(layer_stream_open(&source.base, &options, &stream, NULL), 0);
    assert_int_equal(layer_stream_finish(stream, &result, NULL), 0);
    assert_int_equal(result.bytes, size);
    assert_true(digest_equal(&result.digest, &plain));
}

static void what_was_encoded_can_be_decoded(void **state)
{
    (void) state;
    static const size_t sizes[] = {0,       1,       100,     1048575, 1048576,
                                   1048577, 4194304, 4194305, 9000000, 20971520};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        owned(mem_free) uint8_t *data = layer_sample_new(sizes[i], 3);
        for (size_t j = 0; j < COMPRESSIONS; j++) {
            const struct layer_encoder_options options = {.compression = compressions[j]};
            struct memory_sink sink;
            memory_sink_init(&sink);
            assert_int_equal(encode(&options, &sink, data, sizes[i], 0, NULL), 0);
            assert_decodes(&sink, data, sizes[i]);
            if (compressions[j] == LAYER_PLAIN)
                assert_int_equal(sink.size, sizes[i]);
            else
                assert_true(sink.size > 8); /* an empty layer, too */
            if (compressions[j] != LAYER_PLAIN && sizes[i] >= 1048576)
                assert_true(sink.size < sizes[i] * 9 / 10);
            memory_sink_clear(&sink);
        }
    }
}

/* What does not get smaller, and what gets as small as it can. */
static void extreme_data_is_encoded(void **state)
{
    (void) state;
    enum { SIZE = 10000000 };
    owned(mem_free) uint8_t *data = mem_alloc(SIZE);
    for (int round = 0; round < 2; round++) {
        for (size_t j = 0; j < COMPRESSIONS; j++) {
            const struct layer_encoder_options options = {.compression = compressions[j]};
            struct memory_sink sink;
            memory_sink_init(&sink);
            assert_int_equal(encode(&options, &sink, data, SIZE, 0, NULL), 0);
            assert_decodes(&sink, data, SIZE);
            if (compressions[j] != LAYER_PLAIN)
                assert_true(round == 0 ? sink.size < SIZE / 100 : sink.size < SIZE + SIZE / 1000);
            memory_sink_clear(&sink);
        }
        uint64_t state_64 = 88172645463325252U;
        for (size_t i = 0; i + 8 <= SIZE; i += 8) {
            state_64 ^= state_64 << 13;
            state_64 ^= state_64 >> 7;
            state_64 ^= state_64 << 17;
            memcpy(data + i, &state_64, 8);
        }
    }
}

static void the_result_depends_on_the_bytes_alone(void **state)
{
    (void) state;
    enum { SIZE = 11111111 };
    static const unsigned threads[] = {1, 2, 4, 16, 100};
    owned(mem_free) uint8_t *data = layer_sample_new(SIZE, 4);
    for (size_t j = 0; j < COMPRESSIONS; j++) {
        struct memory_sink first;
        memory_sink_init(&first);
        struct layer_encoder_options options = {.compression = compressions[j]};
        assert_int_equal(encode(&options, &first, data, SIZE, 0, NULL), 0);
        for (size_t i = 0; i < sizeof threads / sizeof threads[0]; i++) {
            for (unsigned cuts = 0; cuts < 4; cuts++) {
                struct memory_sink sink;
                memory_sink_init(&sink);
                options.threads = threads[i];
                assert_int_equal(encode(&options, &sink, data, SIZE, cuts, NULL), 0);
                assert_int_equal(sink.size, first.size);
                assert_memory_equal(sink.data, first.data, first.size);
                memory_sink_clear(&sink);
            }
        }
        memory_sink_clear(&first);
    }
}

/* As Go writes it: no name, no time. One member, so that all readers take it. */
static void gzip_has_one_plain_header(void **state)
{
    (void) state;
    enum { SIZE = 3000000 };
    owned(mem_free) uint8_t *data = layer_sample_new(SIZE, 5);
    const struct layer_encoder_options options = {.compression = LAYER_GZIP};
    struct memory_sink sink;
    memory_sink_init(&sink);
    assert_int_equal(encode(&options, &sink, data, SIZE, 0, NULL), 0);
    assert_memory_equal(sink.data, "\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
    memory_sink_clear(&sink);
}

/* gzip and zstd of this system, if they are there: they decide what is valid. */
static void assert_program_decodes(const char *command, const struct memory_sink *sink,
                                   const uint8_t *data, size_t size)
{
    char path[] = "/tmp/test_diff_encode.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    FILE *file = fdopen(fd, "wb");
    assert_int_equal(fwrite(sink->data, 1, sink->size, file), sink->size);
    (void) fclose(file);
    owned(mem_free) char *line = mem_printf("%s < %s", command, path);
    FILE *pipe = popen(line, "re"); /* NOLINT: the command is ours */
    owned(mem_free) uint8_t *found = mem_alloc(size + 1);
    size_t got = fread(found, 1, size + 1, pipe);
    int status = pclose(pipe);
    (void) remove(path);
    if (status == 127 << 8) {
        printf("skip: %s is not installed\n", command);
        return;
    }
    assert_int_equal(status, 0);
    assert_int_equal(got, size);
    assert_memory_equal(found, data, size);
}

static void other_programs_decode_it(void **state)
{
    (void) state;
    enum { SIZE = 10000000 };
    owned(mem_free) uint8_t *data = layer_sample_new(SIZE, 6);
    for (size_t j = 1; j < COMPRESSIONS; j++) {
        const char *command = compressions[j] == LAYER_GZIP ? "gzip -dc" : "zstd -q -dc";
        const struct layer_encoder_options options = {.compression = compressions[j]};
        for (size_t size = SIZE;; size /= 1000) {
            struct memory_sink sink;
            memory_sink_init(&sink);
            assert_int_equal(encode(&options, &sink, data, size, 0, NULL), 0);
            assert_program_decodes(command, &sink, data, size);
            memory_sink_clear(&sink);
            if (size == 0)
                break;
        }
    }
}

static void errors_of_the_sink_pass_unchanged(void **state)
{
    (void) state;
    enum { SIZE = 30000000 };
    static const size_t fails_after[] = {1, 9, 100, 300000, 1000000, 3000000};
    owned(mem_free) uint8_t *data = layer_sample_new(SIZE, 7);
    for (size_t j = 0; j < COMPRESSIONS; j++) {
        for (size_t i = 0; i < sizeof fails_after / sizeof fails_after[0]; i++) {
            const struct layer_encoder_options options = {.compression = compressions[j]};
            struct memory_sink sink;
            struct error error = {0};
            memory_sink_init(&sink);
            sink.fails_after = fails_after[i];
            assert_int_equal(encode(&options, &sink, data, SIZE, 1, &error), ERROR_IO);
            assert_string_equal(error.message, "the sink failed");
            memory_sink_clear(&sink);
        }
    }
}

/* The sink fails at the very end: with the trailer. */
static void a_failure_of_the_last_write_is_told(void **state)
{
    (void) state;
    const struct layer_encoder_options options = {.compression = LAYER_GZIP};
    struct memory_sink sink;
    memory_sink_init(&sink);
    assert_int_equal(encode(&options, &sink, (const uint8_t *) "text", 4, 0, NULL), 0);
    size_t size = sink.size;
    memory_sink_clear(&sink);
    memory_sink_init(&sink);
    sink.fails_after = size - 1;
    assert_int_equal(encode(&options, &sink, (const uint8_t *) "text", 4, 0, NULL), ERROR_IO);
    memory_sink_clear(&sink);
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

/* The sink takes nothing, so that the ring gets full and the caller waits. */
static void cancel_reaches_who_waits_for_a_slow_sink(void **state)
{
    (void) state;
    enum { SIZE = 1 << 20 };
    owned(mem_free) uint8_t *data = layer_sample_new(SIZE, 8);
    struct cancel cancel = {0};
    const struct layer_encoder_options options = {
        .compression = LAYER_GZIP, .threads = 2, .cancel = &cancel};
    struct layer_encoder *encoder = NULL;
    struct layer_encoder_result result;
    struct memory_sink sink;
    pthread_t thread;
    memory_sink_init(&sink);
    sink.blocks = true;
    assert_int_equal(layer_encoder_open(&sink.base, &options, &encoder, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, &cancel), 0);
    int rc = 0;
    unsigned added = 0;
    while ((rc = layer_encoder_add(encoder, data, SIZE, NULL)) == 0)
        assert_true(added++ < 8); /* memory is bounded */
    assert_int_equal(rc, ERROR_CANCELLED);
    (void) pthread_join(thread, NULL);
    assert_int_equal(layer_encoder_finish(encoder, &result, NULL), ERROR_CANCELLED);
    atomic_store(&sink.released, true);
    layer_encoder_clear(&encoder);
    assert_null(encoder);
    memory_sink_clear(&sink);
}

static void an_encoder_can_be_cleared_in_any_state(void **state)
{
    (void) state;
    enum { SIZE = 700000 };
    owned(mem_free) uint8_t *data = layer_sample_new(SIZE, 9);
    for (unsigned round = 0; round < 60; round++) {
        const struct layer_encoder_options options = {
            .compression = compressions[round % COMPRESSIONS], .threads = round % 4};
        struct layer_encoder *encoder = NULL;
        struct memory_sink sink;
        memory_sink_init(&sink);
        assert_int_equal(layer_encoder_open(&sink.base, &options, &encoder, NULL), 0);
        for (unsigned i = 0; i < round % 15; i++)
            assert_int_equal(layer_encoder_add(encoder, data, SIZE, NULL), 0);
        if (round % 5 == 0)
            nap();
        layer_encoder_clear(&encoder);
        memory_sink_clear(&sink);
    }
    struct layer_encoder *none = NULL;
    layer_encoder_clear(&none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_can_be_decoded),
        cmocka_unit_test(extreme_data_is_encoded),
        cmocka_unit_test(the_result_depends_on_the_bytes_alone),
        cmocka_unit_test(gzip_has_one_plain_header),
        cmocka_unit_test(other_programs_decode_it),
        cmocka_unit_test(errors_of_the_sink_pass_unchanged),
        cmocka_unit_test(a_failure_of_the_last_write_is_told),
        cmocka_unit_test(cancel_reaches_who_waits_for_a_slow_sink),
        cmocka_unit_test(an_encoder_can_be_cleared_in_any_state),
    };
    return cmocka_run_group_tests_name("diff/encode", tests, NULL, NULL);
}
