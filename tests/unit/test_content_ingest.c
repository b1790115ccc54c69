/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/id_list.h"
#include "base/mem.h"
#include "tests/unit/content_fixture.h"

/* The state machine of one ingest; what happens between threads is in test_content_threads.c. */

static const struct labels no_labels = {0};

static int take(const char *ref, const struct digest *expected, uint64_t total,
                struct ingest **out_ingest)
{
    return ingest_take(fixture.content, ref, expected, total, out_ingest, NULL);
}

static struct ingest *taken(const char *ref)
{
    struct ingest *ingest = NULL;
    assert_int_equal(take(ref, NULL, 0, &ingest), 0);
    return ingest;
}

static int commit(struct ingest *ingest)
{
    return ingest_commit(ingest, &no_labels, NULL, NULL);
}

static void append(struct ingest *ingest, const char *text)
{
    assert_int_equal(append_text(ingest, text), 0);
}

static bool digest_is_of(struct ingest *ingest, const char *text)
{
    struct digest digest;
    struct digest wanted = digest_of_text(text);
    assert_int_equal(ingest_read_digest(ingest, NULL, &digest, NULL), 0);
    return digest_equal(&digest, &wanted);
}

static bool has_status(const char *ref, uint64_t offset, uint64_t total)
{
    owned(ingest_status_clear) struct ingest_status status = INGEST_STATUS_NULL;
    return content_ingest_status(fixture.content, ref, &status, NULL) == 0 &&
           strcmp(status.ref, ref) == 0 && status.offset == offset && status.total == total;
}

static bool is_unknown(const char *ref)
{
    owned(ingest_status_clear) struct ingest_status status = INGEST_STATUS_NULL;
    return content_ingest_status(fixture.content, ref, &status, NULL) == ERROR_NOT_FOUND;
}

static void an_ingest_becomes_a_blob(void **state)
{
    (void) state;
    struct ingest *ingest = taken("ref");
    assert_true(digest_is_of(ingest, ""));
    append(ingest, "some");
    append(ingest, "thing");
    assert_true(digest_is_of(ingest, "something"));
    assert_true(has_status("ref", 9, 0));
    owned(labels_clear) struct labels labels = LABELS_NULL;
    labels_set(&labels, "a", "1");
    assert_int_equal(ingest_commit(ingest, &labels, NULL, NULL), 0);
    assert_int_equal(ingest_offset(ingest), 9);
    assert_true(digest_is_of(ingest, "something"));
    ingest_release(ingest);
    assert_no_ingests();

    struct digest digest = digest_of_text("something");
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    struct stat file;
    assert_int_equal(content_info(fixture.content, &digest, &record, NULL), 0);
    assert_string_equal(labels_get(&record.labels, "a"), "1");
    assert_int_equal(record.size, 9);
    assert_true(blob_holds(&digest, "something"));
    assert_int_equal(fstatat(folder_of(&digest), hex_of(&digest), &file, 0), 0);
    assert_int_equal(file.st_mode & 07777, 0444);
}

static void an_empty_blob_is_a_blob(void **state)
{
    (void) state;
    struct ingest *ingest = taken("ref");
    struct digest empty = digest_of_text("");
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
    assert_true(blob_holds(&empty, ""));
}

static void a_ref_has_one_writer_at_a_time(void **state)
{
    (void) state;
    struct ingest *ingest = taken("ref");
    struct ingest *other = NULL;
    assert_int_equal(take("ref", NULL, 0, &other), ERROR_BUSY);
    assert_null(other);
    ingest_release(ingest);
    ingest_release(taken("ref"));
    ingest_release(NULL);
}

static void the_writer_goes_and_the_data_stays(void **state)
{
    (void) state;
    struct ingest *ingest = taken("ref");
    append(ingest, "first ");
    ingest_release(ingest);
    assert_true(has_status("ref", 6, 0));
    ingest = taken("ref");
    assert_int_equal(ingest_offset(ingest), 6);
    assert_int_equal(ingest_unread_bytes(ingest), 0);
    append(ingest, "second");
    assert_true(digest_is_of(ingest, "first second"));
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
}

static void a_restart_keeps_ingests_and_what_is_known_of_them(void **state)
{
    (void) state;
    struct timestamp started;
    struct timestamp updated;
    struct timestamp started_before;
    struct digest expected = digest_of_text("first second");
    struct ingest *ingest = NULL;
    assert_int_equal(take("ref", &expected, 12, &ingest), 0);
    append(ingest, "first ");
    ingest_read_times(ingest, &started_before, &updated);
    ingest_release(ingest);
    ingest_release(taken("other"));
    content_fixture_close();
    content_fixture_open();

    owned(ingest_status_clear) struct ingest_status status = INGEST_STATUS_NULL;
    assert_int_equal(content_ingest_status(fixture.content, "ref", &status, NULL), 0);
    assert_int_equal(strncmp(status.expected, "sha256:", 7), 0);
    assert_true(has_status("ref", 6, 12));
    assert_true(has_status("other", 0, 0));
    ingest = taken("ref");
    ingest_read_times(ingest, &started, &updated);
    assert_memory_equal(&started, &started_before, sizeof started);
    assert_false(timestamp_after(started, updated));
    assert_int_equal(ingest_unread_bytes(ingest), 6);
    append(ingest, "second");
    assert_int_equal(ingest_unread_bytes(ingest), 12);
    assert_true(digest_is_of(ingest, "first second"));
    assert_int_equal(ingest_unread_bytes(ingest), 0);
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
    assert_true(blob_holds(&expected, "first second"));
}

static void another_total_starts_anew(void **state)
{
    (void) state;
    struct ingest *ingest = NULL;
    assert_int_equal(take("ref", NULL, 20, &ingest), 0);
    append(ingest, "data");
    ingest_release(ingest);
    assert_int_equal(take("ref", NULL, 0, &ingest), 0); /* unknown is no other one */
    assert_int_equal(ingest_offset(ingest), 4);
    assert_int_equal(ingest_total(ingest), 20);
    ingest_release(ingest);
    assert_int_equal(take("ref", NULL, 20, &ingest), 0);
    assert_int_equal(ingest_offset(ingest), 4);
    ingest_release(ingest);
    assert_int_equal(take("ref", NULL, 3, &ingest), 0);
    assert_int_equal(ingest_offset(ingest), 0);
    assert_true(has_status("ref", 0, 3));
    append(ingest, "new");
    assert_true(digest_is_of(ingest, "new"));
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
}

static void data_goes_where_the_ingest_ends_or_starts_anew(void **state)
{
    (void) state;
    struct ingest *ingest = taken("ref");
    assert_int_equal(ingest_seek(ingest, 0, NULL), 0);
    append(ingest, "data");
    assert_int_equal(ingest_seek(ingest, 4, NULL), 0);
    assert_int_equal(ingest_seek(ingest, 3, NULL), ERROR_OUT_OF_RANGE);
    assert_int_equal(ingest_seek(ingest, 5, NULL), ERROR_OUT_OF_RANGE);
    assert_int_equal(ingest_seek(ingest, -1, NULL), ERROR_OUT_OF_RANGE);
    assert_int_equal(ingest_offset(ingest), 4);
    assert_int_equal(ingest_seek(ingest, 0, NULL), 0);
    assert_int_equal(ingest_offset(ingest), 0);
    assert_true(digest_is_of(ingest, ""));
    append(ingest, "else");
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
    struct digest digest = digest_of_text("else");
    assert_true(blob_holds(&digest, "else"));
}

static void a_commit_checks_size_and_digest_and_keeps_the_data(void **state)
{
    (void) state;
    struct digest right = digest_of_text("data");
    struct digest wrong = digest_of_text("other");
    struct ingest *ingest = taken("ref");
    struct error error = {0};
    append(ingest, "data");
    assert_int_equal(ingest_announce(ingest, NULL, 5, NULL), 0);
    assert_int_equal(ingest_commit(ingest, &no_labels, NULL, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "has 4 bytes, but 5 were announced"));
    assert_int_equal(ingest_announce(ingest, &wrong, 4, NULL), 0);
    assert_int_equal(ingest_commit(ingest, &no_labels, NULL, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, hex_of(&right)));
    assert_non_null(strstr(error.message, hex_of(&wrong)));
    ingest_release(ingest);
    assert_true(has_status("ref", 4, 4));
    ingest = taken("ref"); /* which has announced nothing */
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
    assert_true(blob_holds(&right, "data"));
}

static void a_late_algorithm_reads_the_data_again(void **state)
{
    (void) state;
    struct digest expected = digest_of_bytes(DIGEST_SHA512, "data", 4);
    struct ingest *ingest = taken("ref");
    append(ingest, "data");
    ingest_use_wanted_algorithm(ingest);
    assert_int_equal(ingest_unread_bytes(ingest), 0);
    assert_int_equal(ingest_announce(ingest, &expected, 0, NULL), 0);
    ingest_use_wanted_algorithm(ingest);
    assert_int_equal(ingest_unread_bytes(ingest), 4);
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
    assert_true(blob_holds(&expected, "data"));
    assert_true(exists(fixture.root.blob_fds[DIGEST_SHA512], hex_of(&expected)));
}

static void every_algorithm_has_its_folder(void **state)
{
    (void) state;
    for (int i = DIGEST_SHA256; i <= DIGEST_SHA512; i++) {
        struct digest expected = digest_of_bytes((enum digest_algorithm) i, "data", 4);
        struct ingest *ingest = NULL;
        assert_int_equal(take("ref", &expected, 4, &ingest), 0);
        append(ingest, "data");
        assert_int_equal(ingest_unread_bytes(ingest), 0);
        assert_int_equal(commit(ingest), 0);
        ingest_release(ingest);
        assert_true(blob_holds(&expected, "data"));
    }
}

static void a_cancelled_digest_can_be_asked_for_again(void **state)
{
    (void) state;
    struct cancel cancel = {0};
    struct digest digest;
    struct ingest *ingest = taken("ref");
    append(ingest, "data");
    ingest_release(ingest);
    content_fixture_close();
    content_fixture_open();
    ingest = taken("ref");
    cancel_request(&cancel);
    assert_int_equal(ingest_read_digest(ingest, &cancel, &digest, NULL), ERROR_CANCELLED);
    assert_int_equal(ingest_commit(ingest, &no_labels, &cancel, NULL), ERROR_CANCELLED);
    append(ingest, "more");
    assert_true(digest_is_of(ingest, "datamore"));
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
}

/* The file of an ingest that is the only one. */
static void name_of_ingest(char name[ID_NAME_SIZE])
{
    owned(id_list_clear) struct id_list list = {0};
    assert_int_equal(id_list_read(&list, fixture.root.ingest_fd, NULL), 0);
    assert_int_equal(list.count, 1);
    id_name(list.ids[0], name);
}

static void the_file_says_how_much_there_is(void **state)
{
    (void) state;
    char name[ID_NAME_SIZE];
    struct ingest *ingest = taken("ref");
    append(ingest, "data");
    ingest_release(ingest);
    name_of_ingest(name);
    write_text(fixture.root.ingest_fd, name, "");
    ingest = taken("ref");
    assert_int_equal(ingest_offset(ingest), 0);
    append(ingest, "new");
    assert_true(digest_is_of(ingest, "new"));
    ingest_release(ingest);
    write_text(fixture.root.ingest_fd, name, "longer");
    ingest = taken("ref");
    assert_int_equal(ingest_unread_bytes(ingest), 6);
    assert_true(digest_is_of(ingest, "longer"));
    ingest_release(ingest);
}

static void an_ingest_without_its_file_can_be_aborted(void **state)
{
    (void) state;
    char name[ID_NAME_SIZE];
    struct ingest *ingest = NULL;
    ingest_release(taken("ref"));
    name_of_ingest(name);
    assert_int_equal(unlinkat(fixture.root.ingest_fd, name, 0), 0);
    assert_int_equal(take("ref", NULL, 0, &ingest), ERROR_IO);
    assert_int_equal(content_ingest_abort(fixture.content, "ref", NULL), 0);
    ingest_release(taken("ref"));
}

static void an_abort_leaves_nothing(void **state)
{
    (void) state;
    struct ingest *ingest = taken("ref");
    append(ingest, "data");
    ingest_release(ingest);
    wait_for_ingest_records(1);
    assert_int_equal(content_ingest_abort(fixture.content, "ref", NULL), 0);
    assert_true(is_unknown("ref"));
    assert_no_ingests();
    assert_int_equal(content_ingest_abort(fixture.content, "ref", NULL), 0);
}

static void a_writer_learns_of_the_abort(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("data");
    struct error error = {0};
    struct ingest *ingest = taken("ref");
    append(ingest, "data");
    assert_int_equal(content_ingest_abort(fixture.content, "ref", NULL), 0);
    assert_int_equal(append_text(ingest, "more"), ERROR_NOT_FOUND);
    assert_int_equal(ingest_announce(ingest, &digest, 4, NULL), ERROR_NOT_FOUND);
    assert_int_equal(ingest_commit(ingest, &no_labels, NULL, &error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "was aborted"));
    struct ingest *next = taken("ref"); /* the ref is free, whoever still holds the old one */
    append(next, "next");
    ingest_release(ingest);
    assert_true(has_status("ref", 4, 0));
    assert_int_equal(commit(next), 0);
    ingest_release(next);
    assert_no_ingests();
    digest = digest_of_text("next");
    assert_true(blob_holds(&digest, "next"));
}

static void what_is_here_is_not_begun(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    struct ingest *ingest = NULL;
    assert_int_equal(take("ref", &digest, 0, &ingest), ERROR_EXISTS);
    assert_null(ingest);
    assert_true(is_unknown("ref"));
    assert_no_ingests();
    ingest_release(taken("ref")); /* one that was begun without saying so stays, and is free */
    assert_int_equal(take("ref", &digest, 0, &ingest), ERROR_EXISTS);
    assert_true(has_status("ref", 0, 0));
    ingest_release(taken("ref"));
}

static void what_is_here_by_now_ends_the_ingest(void **state)
{
    (void) state;
    struct ingest *announcing = taken("announcing");
    struct ingest *committing = taken("committing");
    append(announcing, "data");
    append(committing, "data");
    wait_for_ingest_records(2);
    struct digest digest = make_blob("data");
    assert_int_equal(ingest_announce(announcing, &digest, 0, NULL), ERROR_EXISTS);
    assert_int_equal(commit(committing), ERROR_EXISTS);
    assert_true(is_unknown("announcing"));
    assert_true(is_unknown("committing"));
    ingest_release(announcing);
    ingest_release(committing);
    assert_no_ingests();
    assert_true(blob_holds(&digest, "data"));
}

static void an_ingest_is_recorded_after_a_moment(void **state)
{
    (void) state;
    struct ingest *ingest = taken("ref");
    wait_for_ingest_records(1);
    append(ingest, "data");
    assert_int_equal(commit(ingest), 0);
    assert_int_equal(count_ingest_records(), 0);
    ingest_release(ingest);
    assert_no_ingests();
}

static void what_a_kill_leaves_is_found_again(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("data");
    struct ingest *ingest = taken("ref");
    append(ingest, "data");
    wait_for_ingest_records(1);
    assert_int_equal(ingest_announce(ingest, &digest, 4, NULL), 0);
    ingest_release(ingest);
    sleep_ms(200);
    /* What the recorder would write at the end has to be there already. */
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    owned(ingest_record_clear) struct ingest_record record = INGEST_RECORD_NULL;
    assert_int_equal(store_read_begin(fixture.store, &txn, NULL), 0);
    assert_int_equal(store_ingest_next(&txn, 0, &record, NULL), 1);
    assert_string_equal(record.ref, "ref");
    assert_non_null(strstr(record.expected, hex_of(&digest)));
    assert_int_equal(record.total, 4);
}

static size_t count_listed(const char *filter, const struct patience *patience, int *out_rc)
{
    owned(filter_list_clear) struct filter_list *filters = NULL;
    owned(mem_free) struct ingest_status *list = NULL;
    char *texts[] = {(char *) filter};
    size_t count = 0;
    assert_int_equal(filter_list_parse(texts, filter ? 1 : 0, &filters, NULL), 0);
    *out_rc = content_ingest_list(fixture.content, filters, patience, &list, &count, NULL);
    for (size_t i = 0; i < count; i++)
        ingest_status_clear(&list[i]);
    return count;
}

static void a_list_has_what_its_filters_match(void **state)
{
    (void) state;
    struct cancel cancel = {0};
    int rc = 0;
    assert_int_equal(count_listed(NULL, NULL, &rc), 0);
    ingest_release(taken("one"));
    ingest_release(taken("two"));
    assert_int_equal(count_listed(NULL, NULL, &rc), 2);
    assert_int_equal(count_listed("ref==two", NULL, &rc), 1);
    assert_int_equal(count_listed("ref~=^t", NULL, &rc), 1);
    assert_int_equal(count_listed("digest==two", NULL, &rc), 0);
    assert_int_equal(rc, 0);
    const struct patience over = {.until_ms = 1}; /* long ago */
    assert_int_equal(count_listed("ref==two", &over, &rc), 0);
    assert_int_equal(rc, ERROR_BUSY);
    cancel_request(&cancel);
    const struct patience cancelled = {.cancel = &cancel};
    assert_int_equal(count_listed("ref==two", &cancelled, &rc), 0);
    assert_int_equal(rc, ERROR_CANCELLED);
}

static void refs_are_any_strings(void **state)
{
    (void) state;
    static const char *const refs[] = {"", "../x", "a/b", "1", "\xc3\xa9", "a//b", "."};
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++) {
        struct ingest *ingest = taken(refs[i]);
        append(ingest, refs[i]);
        ingest_release(ingest);
    }
    content_fixture_close();
    content_fixture_open();
    for (size_t i = 0; i < sizeof refs / sizeof refs[0]; i++)
        assert_true(has_status(refs[i], strlen(refs[i]), 0));
}

/* More than the pushes wait for, in odd pieces. */
static void a_large_blob_is_pushed_meanwhile(void **state)
{
    (void) state;
    enum { PIECE = 700001, PIECES = 45 };
    owned(mem_free) char *data = mem_alloc((size_t) PIECE * PIECES);
    for (size_t i = 0; i < (size_t) PIECE * PIECES; i++)
        data[i] = (char) (i * 2654435761U >> 13);
    struct digest digest = digest_of_bytes(DIGEST_SHA256, data, (size_t) PIECE * PIECES);
    struct ingest *ingest = taken("ref");
    for (size_t i = 0; i < PIECES; i++) {
        struct iovec segments[] = {
            {data + i * PIECE, 1}, {NULL, 0}, {data + i * PIECE + 1, PIECE - 1}};
        assert_int_equal(ingest_append(ingest, segments, 3, NULL), 0);
    }
    assert_int_equal(ingest_announce(ingest, &digest, (uint64_t) PIECE * PIECES, NULL), 0);
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
    assert_int_equal(content_verify(fixture.content, &digest, 0, NULL, NULL), 0);
}

#define TEST(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, content_fixture_set_up, content_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_ingest_becomes_a_blob),
        TEST(an_empty_blob_is_a_blob),
        TEST(a_ref_has_one_writer_at_a_time),
        TEST(the_writer_goes_and_the_data_stays),
        TEST(a_restart_keeps_ingests_and_what_is_known_of_them),
        TEST(another_total_starts_anew),
        TEST(data_goes_where_the_ingest_ends_or_starts_anew),
        TEST(a_commit_checks_size_and_digest_and_keeps_the_data),
        TEST(a_late_algorithm_reads_the_data_again),
        TEST(every_algorithm_has_its_folder),
        TEST(a_cancelled_digest_can_be_asked_for_again),
        TEST(the_file_says_how_much_there_is),
        TEST(an_ingest_without_its_file_can_be_aborted),
        TEST(an_abort_leaves_nothing),
        TEST(a_writer_learns_of_the_abort),
        TEST(what_is_here_is_not_begun),
        TEST(what_is_here_by_now_ends_the_ingest),
        TEST(an_ingest_is_recorded_after_a_moment),
        TEST(what_a_kill_leaves_is_found_again),
        TEST(a_list_has_what_its_filters_match),
        TEST(refs_are_any_strings),
        TEST(a_large_blob_is_pushed_meanwhile),
    };
    return cmocka_run_group_tests_name("content/ingest", tests, NULL, NULL);
}
