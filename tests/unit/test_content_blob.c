/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/content_fixture.h"

/* Records of blobs, and files that are not what the record says. */

static bool stamps_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->inode == b->inode && !timestamp_after(a->changed, b->changed) &&
           !timestamp_after(b->changed, a->changed);
}

/* What fstat says of the blob's file now. */
static struct file_stamp stamp_of(const struct digest *digest)
{
    struct file_stamp stamp;
    uint64_t size = 0;
    owned(fd_close) int fd = openat(folder_of(digest), hex_of(digest), O_RDONLY | O_CLOEXEC);
    assert_int_equal(file_stamp_read(fd, &stamp, &size, NULL), 0);
    return stamp;
}

/* Changes the file's ctime, which needs a tick of the clock to be another one. */
static void touch(const struct digest *digest)
{
    struct file_stamp before = stamp_of(digest);
    struct file_stamp after = before;
    while (stamps_equal(&before, &after)) {
        assert_int_equal(fchmodat(folder_of(digest), hex_of(digest), 0400, 0), 0);
        after = stamp_of(digest);
    }
}

/* Until then the next change of the blob's file would leave its ctime as it is. */
static void wait_for_a_tick(const struct digest *digest)
{
    struct file_stamp before = stamp_of(digest);
    struct stat scratch;
    do {
        write_text(folder_of(digest), "scratch", "");
        assert_int_equal(fstatat(folder_of(digest), "scratch", &scratch, 0), 0);
        assert_int_equal(unlinkat(folder_of(digest), "scratch", 0), 0);
    } while (scratch.st_ctim.tv_sec == before.changed.seconds &&
             scratch.st_ctim.tv_nsec == before.changed.nanos);
}

static void info_update_and_delete_know_what_is_missing(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("nothing");
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    struct error error = {0};
    assert_int_equal(content_info(fixture.content, &digest, &record, &error), ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, hex_of(&digest)));
    assert_int_equal(content_update(fixture.content, &digest, &LABELS_NULL, NULL, 0, &record, NULL),
                     ERROR_NOT_FOUND);
    assert_int_equal(open_blob(&digest), ERROR_NOT_FOUND);
    assert_int_equal(content_verify(fixture.content, &digest, 0, NULL, NULL), ERROR_NOT_FOUND);
    assert_int_equal(content_delete(fixture.content, &digest, NULL), 0);
}

static void labels_are_updated_by_mask(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    struct timestamp created = record_of(&digest).created;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    char *mask[] = {(char *) "labels.b"};
    char *wrong_mask[] = {(char *) "size"};
    labels_set(&labels, "a", "1");
    assert_int_equal(content_update(fixture.content, &digest, &labels, NULL, 0, &record, NULL), 0);
    assert_string_equal(labels_get(&record.labels, "a"), "1");
    labels_set(&labels, "a", "2");
    labels_set(&labels, "b", "2");
    assert_int_equal(content_update(fixture.content, &digest, &labels, mask, 1, &record, NULL), 0);
    assert_string_equal(labels_get(&record.labels, "a"), "1");
    assert_string_equal(labels_get(&record.labels, "b"), "2");
    assert_true(timestamp_after(record.updated, created));
    assert_memory_equal(&record.created, &created, sizeof created);
    assert_int_equal(
        content_update(fixture.content, &digest, &labels, wrong_mask, 1, &record, NULL),
        ERROR_INVALID);
    assert_int_equal(record.labels.count, 0);
    assert_true(blob_holds(&digest, "data"));
}

static size_t count_blobs(const char *filter)
{
    owned(filter_list_clear) struct filter_list *filters = NULL;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    struct store_blob_position position = {0};
    char *texts[] = {(char *) filter};
    size_t count = 0;
    int answer = FILTER_OTHER;
    assert_int_equal(filter_list_parse(texts, filter ? 1 : 0, &filters, NULL), 0);
    assert_int_equal(content_list_begin(fixture.content, &txn, NULL), 0);
    while (answer != FILTER_END) {
        owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
        answer = content_list_next(&txn, filters, NULL, &position, &record, NULL);
        assert_in_range(answer, FILTER_END, FILTER_OTHER);
        count += answer == FILTER_MATCH;
    }
    return count;
}

static void a_list_has_what_its_filters_match(void **state)
{
    (void) state;
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    assert_int_equal(count_blobs(NULL), 0);
    struct digest one = make_blob("one");
    struct digest two = make_blob("two");
    labels_set(&labels, "containerd.io/gc.ref", "x");
    assert_int_equal(content_update(fixture.content, &two, &labels, NULL, 0, &record, NULL), 0);
    assert_int_equal(count_blobs(NULL), 2);
    owned(mem_free) char *by_digest = mem_printf("digest==\"sha256:%s\"", hex_of(&one));
    assert_int_equal(count_blobs(by_digest), 1);
    assert_int_equal(count_blobs("digest~=^sha256"), 2);
    assert_int_equal(count_blobs("labels.\"containerd.io/gc.ref\"==x"), 1);
    assert_int_equal(count_blobs("labels.other"), 0);
    assert_int_equal(count_blobs("ref==x"), 0);
}

static void who_reads_a_deleted_blob_reads_on(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    owned(blob_reader_close) struct blob_reader reader = BLOB_READER_NULL;
    char data[4];
    assert_int_equal(blob_reader_open(fixture.content, &digest, NULL, &reader, NULL), 0);
    assert_int_equal(reader.size, 4);
    assert_int_equal(content_delete(fixture.content, &digest, NULL), 0);
    assert_int_equal(open_blob(&digest), ERROR_NOT_FOUND);
    assert_int_equal(count_entries(folder_of(&digest)), 0);
    assert_int_equal(blob_reader_read(&reader, data, 2, 2, NULL), 0);
    assert_memory_equal(data, "ta", 2);
    assert_int_equal(blob_reader_read(&reader, data, 4, 1, NULL), ERROR_CORRUPT);
    assert_int_equal(content_delete(fixture.content, &digest, NULL), 0);
    (void) make_blob("data");
}

/* The blob is not served, says so in its record, and can be written again. */
static void assert_damaged_until_written_again(const struct digest *digest, const char *text)
{
    struct error error = {0};
    struct blob_reader reader = BLOB_READER_NULL;
    for (int i = 0; i < 2; i++) {
        assert_int_equal(blob_reader_open(fixture.content, digest, NULL, &reader, &error),
                         ERROR_CORRUPT);
        assert_non_null(strstr(error.message, hex_of(digest)));
        assert_true(record_of(digest).damaged);
    }
    assert_int_equal(put_text("again", text), 0);
    assert_false(record_of(digest).damaged);
    assert_true(blob_holds(digest, text));
    assert_no_ingests();
}

static void altered_data_of_the_same_size_is_found(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    touch(&digest);
    write_text(folder_of(&digest), hex_of(&digest), "dada");
    assert_damaged_until_written_again(&digest, "data");
}

static void a_touched_file_is_verified_once(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    struct blob_record before = record_of(&digest);
    struct file_stamp stamp = stamp_of(&digest);
    assert_true(stamps_equal(&before.stamp, &stamp));
    assert_true(blob_holds(&digest, "data"));
    struct blob_record after = record_of(&digest);
    assert_memory_equal(&after.verified, &before.verified, sizeof after.verified);

    touch(&digest);
    assert_true(blob_holds(&digest, "data"));
    after = record_of(&digest);
    stamp = stamp_of(&digest);
    assert_true(timestamp_after(after.verified, before.verified));
    assert_true(stamps_equal(&after.stamp, &stamp));
    assert_false(stamps_equal(&after.stamp, &before.stamp));
    assert_memory_equal(&after.updated, &before.updated, sizeof after.updated);
    assert_true(blob_holds(&digest, "data"));
    struct blob_record again = record_of(&digest);
    assert_memory_equal(&again.verified, &after.verified, sizeof again.verified);
}

static void an_examination_can_be_cancelled(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    struct cancel cancel = {0};
    struct blob_reader reader = BLOB_READER_NULL;
    touch(&digest);
    cancel_request(&cancel);
    assert_int_equal(blob_reader_open(fixture.content, &digest, &cancel, &reader, NULL),
                     ERROR_CANCELLED);
    assert_null(reader.blob);
    assert_false(record_of(&digest).damaged);
    assert_true(blob_holds(&digest, "data"));
}

static void a_truncated_file_is_found(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    write_text(folder_of(&digest), hex_of(&digest), "dat");
    assert_damaged_until_written_again(&digest, "data");
    write_text(folder_of(&digest), hex_of(&digest), "data and more");
    assert_damaged_until_written_again(&digest, "data");
}

static void remove_file(const struct digest *digest)
{
    assert_int_equal(unlinkat(folder_of(digest), hex_of(digest), 0), 0);
}

static void a_missing_file_is_found(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    remove_file(&digest);
    assert_damaged_until_written_again(&digest, "data");
}

static void a_link_is_not_followed(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    write_text(folder_of(&digest), "elsewhere", "data");
    remove_file(&digest);
    assert_int_equal(symlinkat("elsewhere", folder_of(&digest), hex_of(&digest)), 0);
    assert_damaged_until_written_again(&digest, "data");
    assert_true(exists(folder_of(&digest), "elsewhere"));
}

static void a_fifo_does_not_stop_the_reader(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    remove_file(&digest);
    assert_int_equal(mkfifoat(folder_of(&digest), hex_of(&digest), 0600), 0);
    assert_damaged_until_written_again(&digest, "data");
}

static void a_directory_gives_way(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    remove_file(&digest);
    assert_int_equal(mkdirat(folder_of(&digest), hex_of(&digest), 0700), 0);
    owned(fd_close) int fd = fd_open_dir(folder_of(&digest), hex_of(&digest));
    write_text(fd, "inside", "x");
    assert_damaged_until_written_again(&digest, "data");
}

static void a_socket_gives_way(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_path = "socket"};
    char here[512];
    remove_file(&digest);
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_non_null(getcwd(here, sizeof here));
    assert_int_equal(fchdir(folder_of(&digest)), 0); /* the path would be too long */
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(chdir(here), 0);
    assert_int_equal(renameat(folder_of(&digest), "socket", folder_of(&digest), hex_of(&digest)),
                     0);
    assert_damaged_until_written_again(&digest, "data");
}

static void another_file_with_the_right_bytes_is_taken_for_it(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    write_text(folder_of(&digest), "restored", "data");
    assert_int_equal(renameat(folder_of(&digest), "restored", folder_of(&digest), hex_of(&digest)),
                     0);
    assert_true(blob_holds(&digest, "data"));
    struct file_stamp stamp = stamp_of(&digest);
    assert_true(stamp.inode == record_of(&digest).stamp.inode);
}

static void a_damaged_blob_can_be_deleted(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    write_text(folder_of(&digest), hex_of(&digest), "dat");
    assert_int_equal(open_blob(&digest), ERROR_CORRUPT);
    assert_int_equal(content_delete(fixture.content, &digest, NULL), 0);
    assert_int_equal(open_blob(&digest), ERROR_NOT_FOUND);
    assert_int_equal(count_entries(folder_of(&digest)), 0);
}

static bool is_hot(const struct digest *digest)
{
    owned(blob_reader_close) struct blob_reader reader = BLOB_READER_NULL;
    return blob_reader_open_hot(fixture.content, digest, &reader);
}

static void a_blob_that_was_read_is_still_open(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    owned(blob_reader_close) struct blob_reader reader = BLOB_READER_NULL;
    char data[4];
    assert_false(is_hot(&digest));
    assert_true(blob_holds(&digest, "data"));
    assert_true(blob_reader_open_hot(fixture.content, &digest, &reader));
    assert_int_equal(reader.size, 4);
    if (blob_reader_read_hot(&reader, data, 2, 1)) /* not every file system can */
        assert_memory_equal(data, "at", 2);
    assert_false(blob_reader_read_hot(&reader, data, 4, 1)); /* goes beyond the end */
    assert_int_equal(content_delete(fixture.content, &digest, NULL), 0);
    assert_false(is_hot(&digest));
}

static void a_blob_that_was_touched_is_opened_anew(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    assert_true(blob_holds(&digest, "data"));
    touch(&digest);
    assert_false(is_hot(&digest));
    assert_true(blob_holds(&digest, "data"));
    assert_true(is_hot(&digest));
    wait_for_a_tick(&digest);
    remove_file(&digest);
    write_text(folder_of(&digest), hex_of(&digest), "dada");
    assert_int_equal(open_blob(&digest), ERROR_CORRUPT);
    assert_false(is_hot(&digest));
}

static void the_blobs_that_were_read_last_are_still_open(void **state)
{
    (void) state;
    enum { BLOBS = 70, OPEN = 64 };
    struct digest digests[BLOBS];
    for (int i = 0; i < BLOBS; i++) {
        char text[16];
        (void) snprintf(text, sizeof text, "%d", i);
        digests[i] = make_blob(text);
        assert_true(blob_holds(&digests[i], text));
        assert_true(is_hot(&digests[0])); /* which keeps it in use */
    }
    int hot = 0;
    for (int i = 0; i < BLOBS; i++)
        hot += is_hot(&digests[i]);
    assert_int_equal(hot, OPEN);
    assert_true(is_hot(&digests[BLOBS - 1]));
    assert_false(is_hot(&digests[1]));
}

static void blobs_survive_a_restart(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    struct blob_record before = record_of(&digest);
    content_fixture_close();
    content_fixture_open();
    assert_true(blob_holds(&digest, "data"));
    struct blob_record after = record_of(&digest);
    assert_memory_equal(&after.verified, &before.verified, sizeof after.verified);
}

#define TEST(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, content_fixture_set_up, content_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(info_update_and_delete_know_what_is_missing),
        TEST(labels_are_updated_by_mask),
        TEST(a_list_has_what_its_filters_match),
        TEST(who_reads_a_deleted_blob_reads_on),
        TEST(altered_data_of_the_same_size_is_found),
        TEST(a_touched_file_is_verified_once),
        TEST(an_examination_can_be_cancelled),
        TEST(a_truncated_file_is_found),
        TEST(a_missing_file_is_found),
        TEST(a_link_is_not_followed),
        TEST(a_fifo_does_not_stop_the_reader),
        TEST(a_directory_gives_way),
        TEST(a_socket_gives_way),
        TEST(another_file_with_the_right_bytes_is_taken_for_it),
        TEST(a_damaged_blob_can_be_deleted),
        TEST(a_blob_that_was_read_is_still_open),
        TEST(a_blob_that_was_touched_is_opened_anew),
        TEST(the_blobs_that_were_read_last_are_still_open),
        TEST(blobs_survive_a_restart),
    };
    return cmocka_run_group_tests_name("content/blob", tests, NULL, NULL);
}
