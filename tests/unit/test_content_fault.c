/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tests/unit/content_fixture.h"

/* Steps that fail. Each fault acts once, when the process first comes by; so the order of the tests
 * matters, and none commits before its turn. */
static const char faults[] = "ingest.create=28,ingest.write=28,ingest.push=5,commit.flush=5,"
                             "commit.rename=5,commit.dirsync=5,commit.record=28";

static struct ingest *taken(void)
{
    struct ingest *ingest = NULL;
    assert_int_equal(ingest_take(fixture.content, "ref", NULL, 0, &ingest, NULL), 0);
    return ingest;
}

static void an_ingest_that_cannot_be_made_leaves_nothing(void **state)
{
    (void) state;
    struct ingest *ingest = NULL;
    assert_int_equal(ingest_take(fixture.content, "ref", NULL, 0, &ingest, NULL), ERROR_NO_SPACE);
    assert_null(ingest);
    assert_no_ingests();
    ingest_release(taken());
}

static void data_that_cannot_be_written_leaves_what_was_there(void **state)
{
    (void) state;
    struct ingest *ingest = taken();
    assert_int_equal(append_text(ingest, "data"), ERROR_NO_SPACE);
    assert_int_equal(ingest_offset(ingest), 0);
    assert_int_equal(append_text(ingest, "data"), 0);
    assert_int_equal(ingest_offset(ingest), 4);
    ingest_release(ingest);
}

/* The data is still in memory; the commit finds out whether it is on disk. */
static void a_push_that_fails_is_told(void **state)
{
    (void) state;
    enum { SIZE = 9 << 20 };
    owned(mem_free) char *data = mem_alloc(SIZE);
    const struct iovec segment = {data, SIZE};
    struct ingest *ingest = taken();
    assert_int_equal(ingest_append(ingest, &segment, 1, NULL), ERROR_IO);
    assert_int_equal(ingest_offset(ingest), SIZE);
    ingest_release(ingest);
}

static int commit(struct ingest *ingest)
{
    return ingest_commit(ingest, &LABELS_NULL, NULL, NULL);
}

/* The data is still the ingest's, and no blob is to be seen. */
static void assert_kept(struct ingest *ingest)
{
    struct digest digest = digest_of_text("data");
    assert_int_equal(ingest_offset(ingest), 4);
    assert_int_equal(open_blob(&digest), ERROR_NOT_FOUND);
    assert_int_equal(count_entries(fixture.root.blob_fds[DIGEST_SHA256]), 0);
    assert_int_equal(count_entries(fixture.root.ingest_fd), 1);
    wait_for_ingest_records(1);
}

static void a_commit_that_fails_can_be_repeated(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("data");
    struct ingest *ingest = taken();
    assert_int_equal(append_text(ingest, "data"), 0);
    assert_int_equal(commit(ingest), ERROR_IO); /* commit.flush */
    assert_kept(ingest);
    assert_int_equal(commit(ingest), ERROR_IO); /* commit.rename */
    assert_kept(ingest);
    assert_int_equal(commit(ingest), ERROR_IO); /* commit.dirsync */
    assert_kept(ingest);
    ingest_release(ingest);
    ingest = taken();
    assert_int_equal(commit(ingest), ERROR_NO_SPACE); /* commit.record */
    assert_kept(ingest);
    assert_int_equal(append_text(ingest, "!"), 0);
    assert_int_equal(ingest_seek(ingest, 0, NULL), 0);
    assert_int_equal(append_text(ingest, "data"), 0);
    assert_int_equal(commit(ingest), 0);
    ingest_release(ingest);
    assert_no_ingests();
    assert_true(blob_holds(&digest, "data"));
}

#define TEST(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, content_fixture_set_up, content_fixture_tear_down)

int main(void)
{
#ifndef CLONEFS_FAULTS
    print_message("skip: built without fault points\n");
    return 0;
#endif
    (void) setenv("CLONEFS_FAULT", faults, 1);
    const struct CMUnitTest tests[] = {
        TEST(an_ingest_that_cannot_be_made_leaves_nothing),
        TEST(data_that_cannot_be_written_leaves_what_was_there),
        TEST(a_push_that_fails_is_told),
        TEST(a_commit_that_fails_can_be_repeated),
    };
    return cmocka_run_group_tests_name("content/fault", tests, NULL, NULL);
}
