/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/id_list.h"
#include "store/ingests.h"
#include "tests/unit/content_fixture.h"

/* What content_open finds on disk and in the store. Each test closes the service, arranges the
 * store, and opens it again with a trash that keeps what the sweep puts there. */

static void arrange(void)
{
    content_fixture_close();
    content_fixture_open_store();
}

static void open_again(void)
{
    content_fixture_close_store();
    fixture.keep_trash = true;
    content_fixture_open();
}

static int run_put(struct store_txn *txn, void *context, struct error *error)
{
    return store_ingest_put(txn, context, error);
}

static void put_ingest_record(uint64_t id, const char *ref)
{
    struct ingest_record record = {
        .id = id, .ref = (char *) ref, .expected = (char *) "", .total = 7};
    assert_int_equal(store_write(fixture.store, run_put, &record, NULL), 0);
}

static void new_id_name(uint64_t *out_id, char name[ID_NAME_SIZE])
{
    assert_int_equal(store_new_id(fixture.store, out_id, NULL), 0);
    id_name(*out_id, name);
}

static int status_of(const char *ref, uint64_t *out_offset)
{
    owned(ingest_status_clear) struct ingest_status status = INGEST_STATUS_NULL;
    int rc = content_ingest_status(fixture.content, ref, &status, NULL);
    *out_offset = status.offset;
    return rc;
}

static void a_file_that_no_record_names_goes_to_trash(void **state)
{
    (void) state;
    uint64_t id = 0;
    char name[ID_NAME_SIZE];
    arrange();
    new_id_name(&id, name);
    write_text(fixture.root.ingest_fd, name, "unknown");
    open_again();
    assert_no_ingests();
    assert_true(exists(fixture.root.trash_fd, name));
    assert_int_equal(count_entries(fixture.root.trash_fd), 1);
}

static void an_ingest_with_record_and_file_is_kept(void **state)
{
    (void) state;
    uint64_t id = 0;
    uint64_t offset = 0;
    char name[ID_NAME_SIZE];
    struct stat file;
    arrange();
    new_id_name(&id, name);
    write_text(fixture.root.ingest_fd, name, "data");
    put_ingest_record(id, "ref");
    /* as a kill amid the commit leaves it */
    assert_int_equal(fchmodat(fixture.root.ingest_fd, name, 0444, 0), 0);
    open_again();
    assert_int_equal(status_of("ref", &offset), 0);
    assert_int_equal(offset, 4);
    assert_int_equal(count_ingest_records(), 1);
    assert_int_equal(count_entries(fixture.root.trash_fd), 0);
    assert_int_equal(fstatat(fixture.root.ingest_fd, name, &file, 0), 0);
    assert_int_equal(file.st_mode & 07777, 0600);
}

static void a_record_without_a_file_goes(void **state)
{
    (void) state;
    uint64_t id = 0;
    uint64_t offset = 0;
    char name[ID_NAME_SIZE];
    arrange();
    new_id_name(&id, name);
    put_ingest_record(id, "missing");
    new_id_name(&id, name);
    put_ingest_record(id, "directory");
    assert_int_equal(mkdirat(fixture.root.ingest_fd, name, 0700), 0);
    new_id_name(&id, name);
    put_ingest_record(id, "link");
    assert_int_equal(symlinkat("/etc/passwd", fixture.root.ingest_fd, name), 0);
    open_again();
    assert_int_equal(status_of("missing", &offset), ERROR_NOT_FOUND);
    assert_int_equal(status_of("directory", &offset), ERROR_NOT_FOUND);
    assert_int_equal(status_of("link", &offset), ERROR_NOT_FOUND);
    assert_no_ingests();
    assert_int_equal(count_entries(fixture.root.trash_fd), 2);
}

static void of_two_with_one_ref_the_first_is_kept(void **state)
{
    (void) state;
    uint64_t id = 0;
    uint64_t offset = 0;
    char name[ID_NAME_SIZE];
    arrange();
    new_id_name(&id, name);
    put_ingest_record(id, "ref");
    write_text(fixture.root.ingest_fd, name, "first");
    new_id_name(&id, name);
    put_ingest_record(id, "ref");
    write_text(fixture.root.ingest_fd, name, "the second");
    open_again();
    assert_int_equal(status_of("ref", &offset), 0);
    assert_int_equal(offset, 5);
    assert_int_equal(count_ingest_records(), 1);
    assert_true(exists(fixture.root.trash_fd, name));
}

static void a_blob_that_no_record_names_goes_to_trash(void **state)
{
    (void) state;
    struct digest known = make_blob("known");
    struct digest unknown = digest_of_text("unknown");
    struct digest other = digest_of_bytes(DIGEST_SHA512, "known", 5);
    arrange();
    write_text(folder_of(&unknown), hex_of(&unknown), "unknown");
    write_text(folder_of(&other), hex_of(&other), "known");
    open_again();
    assert_true(blob_holds(&known, "known"));
    assert_false(exists(folder_of(&unknown), hex_of(&unknown)));
    assert_false(exists(folder_of(&other), hex_of(&other)));
    assert_int_equal(count_entries(fixture.root.trash_fd), 2);
    assert_int_equal(put_text("ref", "unknown"), 0);
}

static void foreign_names_are_left_alone(void **state)
{
    (void) state;
    static const char *const names[] = {
        "notes.txt",
        "01",
        "0123456789abcdef",
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.new"};
    const size_t count = sizeof names / sizeof names[0];
    arrange();
    for (size_t i = 0; i < count; i++) {
        write_text(fixture.root.ingest_fd, names[i], "x");
        write_text(fixture.root.blob_fds[DIGEST_SHA256], names[i], "x");
    }
    /* A number is no name of a blob, and a digest none of an ingest. */
    write_text(fixture.root.blob_fds[DIGEST_SHA256], "17", "x");
    open_again();
    assert_int_equal(count_entries(fixture.root.ingest_fd), count);
    assert_int_equal(count_entries(fixture.root.blob_fds[DIGEST_SHA256]), count + 1);
    assert_int_equal(count_entries(fixture.root.trash_fd), 0);
}

static void what_the_sweep_finds_is_deleted(void **state)
{
    (void) state;
    struct digest unknown = digest_of_text("unknown");
    arrange();
    write_text(folder_of(&unknown), hex_of(&unknown), "unknown");
    content_fixture_close_store();
    content_fixture_open();
    for (int i = 0; i < 500 && count_entries(fixture.root.trash_fd) > 0; i++)
        sleep_ms(10);
    assert_int_equal(count_entries(fixture.root.trash_fd), 0);
    assert_false(exists(folder_of(&unknown), hex_of(&unknown)));
}

#define TEST(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, content_fixture_set_up, content_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_that_no_record_names_goes_to_trash),
        TEST(an_ingest_with_record_and_file_is_kept),
        TEST(a_record_without_a_file_goes),
        TEST(of_two_with_one_ref_the_first_is_kept),
        TEST(a_blob_that_no_record_names_goes_to_trash),
        TEST(foreign_names_are_left_alone),
        TEST(what_the_sweep_finds_is_deleted),
    };
    return cmocka_run_group_tests_name("content/sweep", tests, NULL, NULL);
}
