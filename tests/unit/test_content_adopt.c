/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/content_fixture.h"
#include "tree/tree.h"

/* A content store of containerd's, made by hand. */
static struct {
    struct scratch scratch;
    int sha256_fd;
    int sha512_fd;
    struct content_adoption done;
    char report[4096];
} source;

static void make_source(void)
{
    owned(fd_close) int blobs_fd = fd_make_dir(source.scratch.fd, "blobs", 0755, NULL);
    source.sha256_fd = fd_make_dir(blobs_fd, "sha256", 0755, NULL);
    source.sha512_fd = fd_make_dir(blobs_fd, "sha512", 0755, NULL);
    assert_true(source.sha256_fd >= 0 && source.sha512_fd >= 0);
}

static int set_up(void **state)
{
    memset(&source, 0, sizeof source);
    scratch_make(&source.scratch);
    make_source();
    return content_fixture_set_up(state);
}

static int tear_down(void **state)
{
    fd_close(&source.sha256_fd);
    fd_close(&source.sha512_fd);
    scratch_remove(&source.scratch);
    return content_fixture_tear_down(state);
}

static void note(void *context, const char *line)
{
    assert_ptr_equal(context, &source);
    size_t length = strlen(source.report);
    (void) snprintf(source.report + length, sizeof source.report - length, "%s\n", line);
}

static int adopt(struct error *error)
{
    source.report[0] = '\0';
    return content_adopt(fixture.content, source.scratch.path, note, &source, &source.done, error);
}

static struct digest put_source(const char *text)
{
    struct digest digest = digest_of_text(text);
    write_text(source.sha256_fd, hex_of(&digest), text);
    assert_int_equal(fchmodat(source.sha256_fd, hex_of(&digest), 0444, 0), 0);
    return digest;
}

static void what_matches_its_name_becomes_a_blob(void **state)
{
    (void) state;
    struct digest one = put_source("one");
    struct digest empty = put_source("");
    struct digest two = digest_of_bytes(DIGEST_SHA512, "two", 3);
    write_text(source.sha512_fd, hex_of(&two), "two");
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 3);
    assert_int_equal(source.done.bytes, 6);
    assert_int_equal(source.done.present + source.done.wrong + source.done.skipped, 0);
    assert_string_equal(source.report, "");
    assert_true(blob_holds(&one, "one"));
    assert_true(blob_holds(&two, "two"));
    assert_true(blob_holds(&empty, ""));
    assert_int_equal(record_of(&one).size, 3);
    assert_no_ingests();
}

static void an_adoption_can_be_repeated(void **state)
{
    (void) state;
    (void) put_source("one");
    assert_int_equal(adopt(NULL), 0);
    (void) put_source("two");
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 1);
    assert_int_equal(source.done.present, 1);
    assert_string_equal(source.report, "");
    assert_no_ingests();
}

static void what_does_not_match_is_named_and_stays(void **state)
{
    (void) state;
    struct digest wrong = digest_of_text("right");
    write_text(source.sha256_fd, hex_of(&wrong), "wrong");
    struct digest right = put_source("as it should be");
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 1);
    assert_int_equal(source.done.wrong, 1);
    assert_non_null(strstr(source.report, hex_of(&wrong)));
    assert_null(strstr(source.report, hex_of(&right)));
    assert_true(exists(source.sha256_fd, hex_of(&wrong)));
    assert_int_equal(open_blob(&wrong), ERROR_NOT_FOUND);
    assert_int_equal(count_entries(fixture.root.blob_fds[DIGEST_SHA256]), 1);
    assert_no_ingests();
}

static void what_is_no_blob_is_skipped(void **state)
{
    (void) state;
    struct digest link = digest_of_text("link");
    struct digest fifo = digest_of_text("fifo");
    struct digest folder = digest_of_text("folder");
    write_text(source.sha256_fd, "target", "link");
    assert_int_equal(symlinkat("target", source.sha256_fd, hex_of(&link)), 0);
    assert_int_equal(mkfifoat(source.sha256_fd, hex_of(&fifo), 0600), 0);
    assert_int_equal(mkdirat(source.sha256_fd, hex_of(&folder), 0700), 0);
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 0);
    assert_int_equal(source.done.skipped, 4);
    assert_non_null(strstr(source.report, "target: is not the name of a blob"));
    assert_non_null(strstr(source.report, "is no regular file"));
    assert_no_ingests();
}

static void a_damaged_blob_is_replaced(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    write_text(folder_of(&digest), hex_of(&digest), "dat");
    assert_int_equal(open_blob(&digest), ERROR_CORRUPT);
    (void) put_source("data");
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 1);
    assert_true(blob_holds(&digest, "data"));
}

static void the_source_stays_as_it_is(void **state)
{
    (void) state;
    struct digest digest = put_source("data");
    struct stat before;
    struct stat after;
    char text[16];
    assert_int_equal(fchmodat(source.sha256_fd, hex_of(&digest), 0440, 0), 0);
    assert_int_equal(fstatat(source.sha256_fd, hex_of(&digest), &before, 0), 0);
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(fstatat(source.sha256_fd, hex_of(&digest), &after, 0), 0);
    assert_int_equal(after.st_ino, before.st_ino);
    assert_int_equal(after.st_mode, before.st_mode);
    assert_int_equal(after.st_mtim.tv_sec, before.st_mtim.tv_sec);
    assert_int_equal(after.st_mtim.tv_nsec, before.st_mtim.tv_nsec);
    /* One that deletes its own name does not take ours. */
    assert_int_equal(unlinkat(source.sha256_fd, hex_of(&digest), 0), 0);
    assert_true(blob_holds(&digest, "data"));
    assert_int_equal(fd_read_small(folder_of(&digest), hex_of(&digest), text, sizeof text), 4);
}

/* What others may write to is not shared with them by a hard link, nor made read-only. */
static void a_source_that_can_be_written_is_not_shared(void **state)
{
    (void) state;
    struct digest digest = put_source("data");
    struct stat theirs;
    struct stat ours;
    assert_int_equal(fchmodat(source.sha256_fd, hex_of(&digest), 0644, 0), 0);
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 1);
    assert_int_equal(fstatat(source.sha256_fd, hex_of(&digest), &theirs, 0), 0);
    assert_int_equal(fstatat(folder_of(&digest), hex_of(&digest), &ours, 0), 0);
    assert_int_equal(theirs.st_mode & 07777, 0644);
    assert_int_equal(ours.st_mode & 07777, 0444);
    assert_true(theirs.st_ino != ours.st_ino);
    write_text(source.sha256_fd, hex_of(&digest), "DATA");
    assert_true(blob_holds(&digest, "data"));
    assert_no_ingests();
}

static void a_store_on_another_volume_is_copied(void **state)
{
    (void) state;
    char path[] = "/dev/shm/clonefs-unit-XXXXXX";
    struct stat here;
    struct stat there;
    if (!mkdtemp(path)) {
        print_message("skip: no /dev/shm\n");
        skip();
    }
    fd_close(&source.scratch.fd);
    (void) tree_remove(AT_FDCWD, source.scratch.path, NULL, NULL);
    fd_close(&source.sha256_fd);
    fd_close(&source.sha512_fd);
    (void) snprintf(source.scratch.path, sizeof source.scratch.path, "%s", path);
    source.scratch.fd = fd_open_dir(AT_FDCWD, path);
    make_source();
    struct digest digest = put_source("data");
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 1);
    assert_true(blob_holds(&digest, "data"));
    assert_int_equal(fstat(source.sha256_fd, &there), 0);
    assert_int_equal(fstat(folder_of(&digest), &here), 0);
    if (here.st_dev == there.st_dev)
        print_message("note: /dev/shm is the volume of the test\n");
}

static void many_blobs_are_adopted_side_by_side(void **state)
{
    (void) state;
    char text[32];
    for (int i = 0; i < 1001; i++) {
        (void) snprintf(text, sizeof text, "blob %d", i);
        (void) put_source(text);
    }
    assert_int_equal(adopt(NULL), 0);
    assert_int_equal(source.done.adopted, 1001);
    assert_string_equal(source.report, "1000 blobs, 0 MiB\n");
    for (int i = 0; i < 1001; i++) {
        (void) snprintf(text, sizeof text, "blob %d", i);
        struct digest digest = digest_of_text(text);
        assert_true(blob_holds(&digest, text));
    }
    assert_no_ingests();
}

static void what_is_no_store_is_refused(void **state)
{
    (void) state;
    struct error error = {0};
    struct content_adoption done;
    assert_int_equal(renameat(source.scratch.fd, "blobs", source.scratch.fd, "others"), 0);
    assert_int_equal(adopt(&error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "io.containerd.content.v1.content"));
    assert_int_equal(content_adopt(fixture.content, "/nonexistent", note, &source, &done, &error),
                     ERROR_IO);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_matches_its_name_becomes_a_blob),
        TEST(an_adoption_can_be_repeated),
        TEST(what_does_not_match_is_named_and_stays),
        TEST(what_is_no_blob_is_skipped),
        TEST(a_damaged_blob_is_replaced),
        TEST(the_source_stays_as_it_is),
        TEST(a_source_that_can_be_written_is_not_shared),
        TEST(a_store_on_another_volume_is_copied),
        TEST(many_blobs_are_adopted_side_by_side),
        TEST(what_is_no_store_is_refused),
    };
    return cmocka_run_group_tests_name("content/adopt", tests, NULL, NULL);
}
