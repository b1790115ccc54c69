/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/blob_source.h"
#include "diff/stream.h"
#include "tests/unit/content_fixture.h"
#include "tests/unit/layer_memory.h"

static struct digest put_bytes(const void *data, size_t size)
{
    struct ingest *ingest = NULL;
    const struct iovec segment = {.iov_base = (void *) data, .iov_len = size};
    assert_int_equal(ingest_take(fixture.content, "layer", NULL, 0, &ingest, NULL), 0);
    assert_int_equal(ingest_seek(ingest, 0, NULL), 0);
    assert_int_equal(ingest_append(ingest, &segment, 1, NULL), 0);
    assert_int_equal(ingest_commit(ingest, &LABELS_NULL, NULL, NULL), 0);
    ingest_release(ingest);
    return layer_digest(data, size);
}

static void a_blob_is_read_to_its_end(void **state)
{
    (void) state;
    static const size_t sizes[] = {1, 1000, 262144, 4194304, 9999999};
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        owned(mem_free) uint8_t *data = layer_sample_new(sizes[i], 1);
        owned(mem_free) uint8_t *found = mem_alloc(sizes[i] + 1);
        owned(layer_source_close) struct layer_source *source = NULL;
        struct digest digest = put_bytes(data, sizes[i]);
        size_t done = 0;
        ssize_t got = 0;
        assert_int_equal(blob_source_open(fixture.content, &digest, NULL, &source, NULL), 0);
        while ((got = source->read(source, found + done, sizes[i] + 1 - done, NULL)) > 0)
            done += (size_t) got;
        assert_int_equal(got, 0);
        assert_int_equal(done, sizes[i]);
        assert_memory_equal(found, data, done);
        assert_int_equal(source->read(source, found, 1, NULL), 0);
    }
}

static void a_blob_is_streamed(void **state)
{
    (void) state;
    size_t size = 0;
    size_t lines_size = 0;
    owned(mem_free) uint8_t *data = layer_file_new("members.gz", &size);
    owned(mem_free) char *lines = layer_lines_new(&lines_size);
    owned(layer_source_close) struct layer_source *source = NULL;
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    const struct layer_stream_options options = {0};
    struct layer_stream_result result;
    struct digest digest = put_bytes(data, size);
    struct digest expected = layer_digest(lines, lines_size);
    assert_int_equal(blob_source_open(fixture.content, &digest, NULL, &source, NULL), 0);
    assert_int_equal(layer_stream_open(source, &options, &stream, NULL), 0);
    assert_int_equal(layer_stream_finish(stream, &result, NULL), 0);
    assert_true(digest_equal(&result.digest, &expected));
    assert_int_equal(result.source_bytes, size);
}

static void a_deleted_blob_is_read_on(void **state)
{
    (void) state;
    owned(layer_source_close) struct layer_source *source = NULL;
    struct digest digest = make_blob("some text");
    char found[32];
    assert_int_equal(blob_source_open(fixture.content, &digest, NULL, &source, NULL), 0);
    assert_int_equal(content_delete(fixture.content, &digest, NULL), 0);
    assert_int_equal(source->read(source, found, sizeof found, NULL), 9);
    assert_memory_equal(found, "some text", 9);
}

static void what_is_not_there_cannot_be_opened(void **state)
{
    (void) state;
    struct layer_source *source = NULL;
    struct digest digest = digest_of_text("never written");
    assert_int_equal(blob_source_open(fixture.content, &digest, NULL, &source, NULL),
                     ERROR_NOT_FOUND);
    assert_null(source);
}

static void a_blob_that_becomes_shorter_is_corrupt(void **state)
{
    (void) state;
    owned(layer_source_close) struct layer_source *source = NULL;
    struct digest digest = make_blob("some text");
    char found[32];
    assert_int_equal(blob_source_open(fixture.content, &digest, NULL, &source, NULL), 0);
    write_text(folder_of(&digest), hex_of(&digest), "some");
    assert_int_equal(source->read(source, found, sizeof found, NULL), ERROR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_blob_is_read_to_its_end, content_fixture_set_up,
                                        content_fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_blob_is_streamed, content_fixture_set_up,
                                        content_fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_deleted_blob_is_read_on, content_fixture_set_up,
                                        content_fixture_tear_down),
        cmocka_unit_test_setup_teardown(what_is_not_there_cannot_be_opened, content_fixture_set_up,
                                        content_fixture_tear_down),
        cmocka_unit_test_setup_teardown(a_blob_that_becomes_shorter_is_corrupt,
                                        content_fixture_set_up, content_fixture_tear_down),
    };
    return cmocka_run_group_tests_name("diff/blob_source", tests, NULL, NULL);
}
