/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "tests/unit/content_fixture.h"

/* Ingests and blobs that several threads work on. A thread that finds something wrong aborts. */

enum { THREADS = 8 };

static const struct labels no_labels = {0};

static void must(bool right)
{
    if (!right)
        abort();
}

static void run_threads(void *(*run)(void *), size_t count)
{
    pthread_t threads[THREADS];
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, run, (void *) i), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
}

static pthread_barrier_t barrier;
static atomic_uint won;

/* All of them have their data when the first commits. */
static void *commit_the_same(void *number)
{
    struct ingest *ingest = NULL;
    char ref[32];
    for (int round = 0; round < 20; round++) {
        char text[32];
        (void) snprintf(text, sizeof text, "round %d", round);
        (void) snprintf(ref, sizeof ref, "%zu", (size_t) number);
        must(ingest_take(fixture.content, ref, NULL, 0, &ingest, NULL) == 0);
        must(append_text(ingest, text) == 0);
        (void) pthread_barrier_wait(&barrier);
        int rc = ingest_commit(ingest, &no_labels, NULL, NULL);
        must(rc == 0 || rc == ERROR_EXISTS);
        atomic_fetch_add(&won, rc == 0);
        ingest_release(ingest);
        (void) pthread_barrier_wait(&barrier);
    }
    return NULL;
}

static void one_of_several_commits_of_a_digest_wins(void **state)
{
    (void) state;
    atomic_store(&won, 0);
    (void) pthread_barrier_init(&barrier, NULL, THREADS);
    run_threads(commit_the_same, THREADS);
    (void) pthread_barrier_destroy(&barrier);
    assert_int_equal(atomic_load(&won), 20);
    assert_no_ingests();
    assert_int_equal(count_entries(fixture.root.blob_fds[DIGEST_SHA256]), 20);
    for (int round = 0; round < 20; round++) {
        char text[32];
        (void) snprintf(text, sizeof text, "round %d", round);
        struct digest digest = digest_of_text(text);
        assert_true(blob_holds(&digest, text));
    }
}

/* Half of them write the blob, the others delete it, and all read it. */
static void *commit_and_delete(void *number)
{
    struct digest digest = digest_of_text("data");
    char ref[32];
    (void) snprintf(ref, sizeof ref, "%zu", (size_t) number);
    for (int round = 0; round < 100; round++) {
        int rc = (size_t) number % 2 ? content_delete(fixture.content, &digest, NULL)
                                     : put_text(ref, "data");
        must(rc == 0 || rc == ERROR_EXISTS);
        rc = open_blob(&digest);
        must(rc == 0 || rc == ERROR_NOT_FOUND);
    }
    return NULL;
}

static void a_commit_and_a_deletion_of_a_digest_do_not_mix(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("data");
    for (int round = 0; round < 3; round++) {
        run_threads(commit_and_delete, 4);
        int rc = open_blob(&digest);
        assert_true(rc == 0 || rc == ERROR_NOT_FOUND);
        assert_int_equal(exists(folder_of(&digest), hex_of(&digest)), rc == 0);
    }
    assert_no_ingests();
}

/* A few refs, many threads: each takes, writes, and commits, aborts or lets go. */
static void *fight_for_refs(void *number)
{
    unsigned seed = (unsigned) (size_t) number * 7919 + 1;
    for (int round = 0; round < 300; round++) {
        struct ingest *ingest = NULL;
        char ref[32];
        char text[64];
        unsigned choice = (seed = seed * 1103515245 + 12345) >> 16;
        (void) snprintf(ref, sizeof ref, "ref %u", choice % 3);
        (void) snprintf(text, sizeof text, "%zu %d;", (size_t) number, round);
        struct digest expected = digest_of_text(text);
        bool announce = choice % 5 == 0;
        int rc = ingest_take(fixture.content, ref, announce ? &expected : NULL, choice % 7 * 100,
                             &ingest, NULL);
        must(rc == 0 || rc == ERROR_BUSY);
        if (rc != 0) {
            if (choice % 4 == 0)
                must(content_ingest_abort(fixture.content, ref, NULL) == 0);
            owned(ingest_status_clear) struct ingest_status status = INGEST_STATUS_NULL;
            (void) content_ingest_status(fixture.content, ref, &status, NULL);
            continue;
        }
        must(!announce || ingest_seek(ingest, 0, NULL) == 0);
        rc = append_text(ingest, text);
        must(rc == 0 || rc == ERROR_NOT_FOUND);
        if (rc == 0 && choice % 2 == 0)
            rc = ingest_announce(ingest, NULL, ingest_offset(ingest), NULL);
        if (rc == 0 && choice % 2 == 0)
            rc = ingest_commit(ingest, &no_labels, NULL, NULL);
        must(rc == 0 || rc == ERROR_NOT_FOUND);
        ingest_release(ingest);
    }
    return NULL;
}

static void writers_and_aborts_leave_whole_ingests(void **state)
{
    (void) state;
    run_threads(fight_for_refs, THREADS);
    size_t left = fixture.content->ingests.count;
    assert_int_equal(count_entries(fixture.root.ingest_fd), left);
    wait_for_ingest_records(left);
    content_fixture_close();
    content_fixture_open();
    assert_int_equal(fixture.content->ingests.count, left);
    assert_int_equal(count_entries(fixture.root.ingest_fd), left);
    for (int i = 0; i < 3; i++) {
        char ref[32];
        (void) snprintf(ref, sizeof ref, "ref %d", i);
        assert_int_equal(content_ingest_abort(fixture.content, ref, NULL), 0);
    }
    assert_no_ingests();
}

/* Opened, and aborted by another thread at once: nothing of it may stay. */
static void *take_and_lose(void *number)
{
    struct ingest *ingest = NULL;
    for (int round = 0; round < 500; round++) {
        if ((size_t) number % 2 == 0) {
            must(content_ingest_abort(fixture.content, "ref", NULL) == 0);
            continue;
        }
        int rc = ingest_take(fixture.content, "ref", NULL, 0, &ingest, NULL);
        must(rc == 0 || rc == ERROR_BUSY);
        if (rc == 0)
            ingest_release(ingest);
    }
    return NULL;
}

static void an_abort_amid_the_opening_leaves_no_file(void **state)
{
    (void) state;
    run_threads(take_and_lose, 6);
    assert_int_equal(content_ingest_abort(fixture.content, "ref", NULL), 0);
    assert_no_ingests();
}

/* The same with openings that fail because the blob is here. */
static void *take_what_is_here(void *number)
{
    struct digest digest = digest_of_text("data");
    struct ingest *ingest = NULL;
    for (int round = 0; round < 500; round++) {
        if ((size_t) number % 2 == 0) {
            must(content_ingest_abort(fixture.content, "ref", NULL) == 0);
            continue;
        }
        int rc = ingest_take(fixture.content, "ref", &digest, 0, &ingest, NULL);
        must(rc == ERROR_EXISTS || rc == ERROR_BUSY);
    }
    return NULL;
}

static void an_abort_amid_a_failing_opening_leaves_nothing(void **state)
{
    (void) state;
    (void) make_blob("data");
    run_threads(take_what_is_here, 6);
    assert_no_ingests();
}

/* Records come and go while the recorder writes them: most live about as long as it waits. */
static void *begin_and_end(void *number)
{
    struct ingest *ingest = NULL;
    for (int round = 0; round < 30; round++) {
        char text[32];
        (void) snprintf(text, sizeof text, "%zu %d", (size_t) number, round);
        must(ingest_take(fixture.content, text, NULL, 0, &ingest, NULL) == 0);
        must(append_text(ingest, text) == 0);
        sleep_ms(35 + round);
        if (round % 2)
            must(ingest_commit(ingest, &no_labels, NULL, NULL) == 0);
        else
            must(content_ingest_abort(fixture.content, text, NULL) == 0);
        ingest_release(ingest);
    }
    return NULL;
}

static void a_record_does_not_outlive_its_ingest(void **state)
{
    (void) state;
    run_threads(begin_and_end, THREADS);
    assert_no_ingests();
}

static void *look_on(void *number)
{
    struct digest digest = digest_of_text("data");
    for (int round = 0; round < 300; round++) {
        owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
        if (number == NULL) {
            owned(labels_clear) struct labels labels = LABELS_NULL;
            labels_set(&labels, "round", round % 2 ? "odd" : "even");
            must(content_update(fixture.content, &digest, &labels, NULL, 0, &record, NULL) == 0);
        } else if ((size_t) number % 2) {
            must(content_verify(fixture.content, &digest, 0, NULL, NULL) == 0);
        } else {
            must(blob_holds(&digest, "data"));
        }
    }
    return NULL;
}

static void readers_scrubs_and_updates_go_together(void **state)
{
    (void) state;
    struct digest digest = make_blob("data");
    run_threads(look_on, 5);
    assert_false(record_of(&digest).damaged);
}

enum { OPENERS = 3 };

static atomic_bool ended;
static atomic_uint opened[OPENERS]; /* times, by each of the threads */

static void *open_all_the_time(void *number)
{
    struct digest digest = digest_of_text("data");
    while (!atomic_load(&ended)) {
        int rc = open_blob(&digest);
        must(rc == 0 || rc == ERROR_CORRUPT);
        atomic_fetch_add(&opened[(size_t) number], 1);
    }
    return NULL;
}

/* Whoever had begun to open the blob when it was condemned may put it into the cache once more, and
 * takes it out again before he is done. */
static void wait_for_openers(void)
{
    unsigned before[OPENERS];
    for (size_t i = 0; i < OPENERS; i++)
        before[i] = atomic_load(&opened[i]);
    for (size_t i = 0; i < OPENERS; i++)
        while (atomic_load(&opened[i]) - before[i] < 2)
            sleep_ms(1);
}

/* Also when others open it while it is found out, and it stays open in the cache for a while. */
static void a_blob_known_to_be_damaged_is_not_served(void **state)
{
    (void) state;
    pthread_t threads[OPENERS];
    struct digest digest = make_blob("data");
    atomic_store(&ended, false);
    for (size_t i = 0; i < OPENERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, open_all_the_time, (void *) i), 0);
    int served = 0;
    for (int round = 0; round < 100; round++) {
        struct blob_record record = record_of(&digest);
        record.size = 5; /* which the file is not */
        must(put_record(&record) == 0);
        must(content_verify(fixture.content, &digest, 0, NULL, NULL) == ERROR_CORRUPT);
        wait_for_openers();
        for (int i = 0; i < 5; i++)
            served += open_blob(&digest) == 0;
        record.size = 4;
        record.damaged = false;
        must(put_record(&record) == 0);
        (void) open_blob(&digest);
    }
    atomic_store(&ended, true);
    for (size_t i = 0; i < OPENERS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_int_equal(served, 0);
}

#define TEST(test)                                                                                 \
    cmocka_unit_test_setup_teardown(test, content_fixture_set_up, content_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_of_several_commits_of_a_digest_wins),
        TEST(a_commit_and_a_deletion_of_a_digest_do_not_mix),
        TEST(writers_and_aborts_leave_whole_ingests),
        TEST(an_abort_amid_the_opening_leaves_no_file),
        TEST(an_abort_amid_a_failing_opening_leaves_nothing),
        TEST(a_record_does_not_outlive_its_ingest),
        TEST(readers_scrubs_and_updates_go_together),
        TEST(a_blob_known_to_be_damaged_is_not_served),
    };
    return cmocka_run_group_tests_name("content/threads", tests, NULL, NULL);
}
