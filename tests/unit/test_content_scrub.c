/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/content_fixture.h"

/* Reading blobs again: content_verify, and the thread that calls it. */

static int verify(const struct digest *digest)
{
    return content_verify(fixture.content, digest, 0, NULL, NULL);
}

/* Alters the file in a way that its attributes do not show. */
static void rot(const struct digest *digest)
{
    struct blob_record record = record_of(digest);
    uint64_t size = 0;
    owned(fd_close) int fd = openat(folder_of(digest), hex_of(digest), O_RDWR | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "#", 1, 0), 1);
    assert_int_equal(file_stamp_read(fd, &record.stamp, &size, NULL), 0);
    assert_int_equal(put_record(&record), 0);
}

static void set_verified(const struct digest *digest, int days_ago)
{
    struct blob_record record = record_of(digest);
    record.verified.seconds -= (int64_t) days_ago * 86400;
    assert_int_equal(put_record(&record), 0);
}

static void a_good_blob_is_noted_as_verified(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    struct blob_record before = record_of(&digest);
    assert_int_equal(verify(&digest), 0);
    struct blob_record after = record_of(&digest);
    assert_true(timestamp_after(after.verified, before.verified));
    assert_false(after.damaged);
    assert_memory_equal(&after.created, &before.created, sizeof after.created);
    assert_memory_equal(&after.updated, &before.updated, sizeof after.updated);
}

static void what_only_the_bytes_show_is_found(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    rot(&digest);
    assert_true(blob_holds(&digest, "#ata"));
    struct error error = {0};
    assert_int_equal(content_verify(fixture.content, &digest, 0, NULL, &error), ERROR_CORRUPT);
    assert_non_null(strstr(error.message, "do not match"));
    assert_true(record_of(&digest).damaged);
    assert_int_equal(open_blob(&digest), ERROR_CORRUPT);
    assert_int_equal(verify(&digest), ERROR_CORRUPT);
}

static void a_file_that_is_right_again_heals_the_blob(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    rot(&digest);
    assert_int_equal(verify(&digest), ERROR_CORRUPT);
    write_text(folder_of(&digest), hex_of(&digest), "data");
    assert_int_equal(open_blob(&digest), ERROR_CORRUPT);
    assert_int_equal(verify(&digest), 0);
    assert_true(blob_holds(&digest, "data"));
}

static void a_missing_file_is_damage(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    assert_int_equal(unlinkat(folder_of(&digest), hex_of(&digest), 0), 0);
    assert_int_equal(verify(&digest), ERROR_CORRUPT);
    assert_true(record_of(&digest).damaged);
}

/* A blob of one MiB. */
static struct digest make_large_blob(void)
{
    static char data[1 << 20];
    const struct iovec segment = {data, sizeof data};
    struct ingest *ingest = NULL;
    assert_int_equal(ingest_take(fixture.content, "large", NULL, 0, &ingest, NULL), 0);
    assert_int_equal(ingest_append(ingest, &segment, 1, NULL), 0);
    assert_int_equal(ingest_commit(ingest, &LABELS_NULL, NULL, NULL), 0);
    ingest_release(ingest);
    return digest_of_bytes(DIGEST_SHA256, data, sizeof data);
}

static void a_pace_is_kept(void **state)
{
    (void) state;
    struct digest digest = make_large_blob();
    int64_t started_ms = clock_monotonic_ms();
    assert_int_equal(content_verify(fixture.content, &digest, 4 << 20, NULL, NULL), 0);
    assert_true(clock_monotonic_ms() - started_ms >= 240);
}

/* A verification that takes hours, in a thread. */
struct slow {
    struct digest digest;
    struct cancel cancel;
    uint64_t bytes_per_second;
    int result;
};

static void *verify_slowly(void *argument)
{
    struct slow *slow = argument;
    slow->result =
        content_verify(fixture.content, &slow->digest, slow->bytes_per_second, &slow->cancel, NULL);
    return NULL;
}

static void a_cancel_ends_the_wait_and_notes_nothing(void **state)
{
    (void) state;
    struct slow slow = {.digest = make_large_blob(), .bytes_per_second = 100};
    struct blob_record before = record_of(&slow.digest);
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, verify_slowly, &slow), 0);
    sleep_ms(100);
    int64_t cancelled_ms = clock_monotonic_ms();
    cancel_request(&slow.cancel);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(clock_monotonic_ms() - cancelled_ms < 5000);
    assert_int_equal(slow.result, ERROR_CANCELLED);
    struct blob_record after = record_of(&slow.digest);
    assert_memory_equal(&after.verified, &before.verified, sizeof after.verified);
    assert_false(after.damaged);
}

static void a_blob_that_is_deleted_meanwhile_is_not_found(void **state)
{
    (void) state;
    struct slow slow = {.digest = make_large_blob(), .bytes_per_second = 2 << 20};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, verify_slowly, &slow), 0);
    sleep_ms(100);
    assert_int_equal(content_delete(fixture.content, &slow.digest, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(slow.result, ERROR_NOT_FOUND);
}

/* What is found out about a blob says nothing about the one that was written in its place. */
static void a_blob_that_is_replaced_meanwhile_stays_as_it_is(void **state)
{
    (void) state;
    struct slow slow = {.digest = make_large_blob(), .bytes_per_second = 2 << 20};
    pthread_t thread;
    rot(&slow.digest);
    assert_int_equal(pthread_create(&thread, NULL, verify_slowly, &slow), 0);
    sleep_ms(100);
    assert_int_equal(content_delete(fixture.content, &slow.digest, NULL), 0);
    struct digest digest = make_large_blob();
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(slow.result, ERROR_NOT_FOUND);
    assert_false(record_of(&digest).damaged);
    assert_int_equal(open_blob(&digest), 0);
}

static void open_again_with_scrub(uint64_t bytes_per_second)
{
    content_fixture_close();
    fixture.options.scrub_bytes_per_second = bytes_per_second;
    content_fixture_open();
}

static void the_scrub_reads_what_is_due(void **state)
{
    (void) state;
    struct digest old = make_blob("old");
    struct digest rotten = make_blob("rotten");
    struct digest fresh = make_blob("fresh");
    rot(&rotten);
    rot(&fresh);
    set_verified(&old, 31);
    set_verified(&rotten, 31);
    set_verified(&fresh, 29);
    struct blob_record fresh_before = record_of(&fresh);
    open_again_with_scrub(1 << 30);
    for (int i = 0; i < 500 && (!record_of(&rotten).damaged ||
                                !timestamp_after(record_of(&old).verified, fresh_before.verified));
         i++)
        sleep_ms(10);
    assert_true(record_of(&rotten).damaged);
    assert_false(record_of(&old).damaged);
    assert_true(timestamp_after(record_of(&old).verified, fresh_before.verified));
    sleep_ms(100);
    struct blob_record fresh_after = record_of(&fresh);
    assert_memory_equal(&fresh_after.verified, &fresh_before.verified, sizeof fresh_after.verified);
    assert_false(fresh_after.damaged);
}

static void the_scrub_stops_when_asked(void **state)
{
    (void) state;
    struct digest digest = make_large_blob();
    set_verified(&digest, 31);
    open_again_with_scrub(1);
    sleep_ms(100);
    int64_t started_ms = clock_monotonic_ms();
    open_again_with_scrub(0);
    assert_true(clock_monotonic_ms() - started_ms < 5000);
    assert_false(record_of(&digest).damaged);
}

#define TEST(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, content_fixture_set_up, content_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_good_blob_is_noted_as_verified),
        TEST(what_only_the_bytes_show_is_found),
        TEST(a_file_that_is_right_again_heals_the_blob),
        TEST(a_missing_file_is_damage),
        TEST(a_pace_is_kept),
        TEST(a_cancel_ends_the_wait_and_notes_nothing),
        TEST(a_blob_that_is_deleted_meanwhile_is_not_found),
        TEST(a_blob_that_is_replaced_meanwhile_stays_as_it_is),
        TEST(the_scrub_reads_what_is_due),
        TEST(the_scrub_stops_when_asked),
    };
    return cmocka_run_group_tests_name("content/scrub", tests, NULL, NULL);
}
