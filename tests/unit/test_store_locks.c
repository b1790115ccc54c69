/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/snapshots.h"
#include "store/store.h"
#include "tests/unit/scratch.h"

/* A store that keeps readers and the writer apart by itself. Each change gives all records the same
 * new version, so that a reader of a state that is written over finds two, or none. */

enum { RECORDS = 60, READERS = 6, WRITERS = 3, CHANGES = 150, PATIENCE_US = 200000 };

static struct scratch scratch;
static struct store *store;

static struct store *open_store(void)
{
    struct store *opened = NULL;
    struct error error = {0};
    struct store_options options = {.locks = STORE_LOCKS_OWN};
    if (store_open(scratch.fd, true, &options, &opened, &error) != 0)
        fail_msg("%s", error.message);
    return opened;
}

static int set_up(void **state)
{
    (void) state;
    scratch_make(&scratch);
    store = open_store();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    store_close(store);
    scratch_remove(&scratch);
    return 0;
}

static void key_of(int number, char key[16])
{
    (void) snprintf(key, 16, "record-%d", number);
}

/* 0 where there is none. */
static uint64_t version_of(struct store_txn *txn, int number)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    char key[16];
    key_of(number, key);
    return store_snapshot_get(txn, "one", key, &record, NULL) > 0 ? record.usage_bytes : 0;
}

static int put_version(struct store_txn *txn, int number, uint64_t version, struct error *error)
{
    char key[16];
    char padding[400];
    key_of(number, key);
    memset(padding, 'p', sizeof padding - 1);
    padding[sizeof padding - 1] = '\0';
    struct snapshot_record record = {.snapshotter = (char *) "one",
                                     .key = key,
                                     .parent = (char *) "",
                                     .kind = SNAPSHOT_ACTIVE,
                                     .usage_bytes = version};
    struct label label = {.key = (char *) "padding", .value = padding};
    record.labels = (struct labels){.items = &label, .count = 1};
    return store_snapshot_put(txn, &record, error);
}

static int change_all(struct store_txn *txn, void *context, struct error *error)
{
    uint64_t *version = context;
    *version = version_of(txn, 0) + 1;
    int rc = 0;
    for (int i = 0; rc == 0 && i < RECORDS; i++)
        rc = put_version(txn, i, *version, error);
    return rc;
}

static uint64_t change(void)
{
    uint64_t version = 0;
    return store_write(store, change_all, &version, NULL) == 0 ? version : 0;
}

/* The version of all records, or 0 where they differ. */
static uint64_t version_of_all(struct store_txn *txn, unsigned pause_us)
{
    uint64_t version = version_of(txn, 0);
    for (int i = 1; i < RECORDS; i++) {
        if (pause_us && i % 16 == 0)
            (void) usleep(pause_us);
        if (version_of(txn, i) != version)
            return 0;
    }
    return version;
}

static uint64_t newest_version(unsigned pause_us)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    return store_read_begin(store, &txn, NULL) == 0 ? version_of_all(&txn, pause_us) : 0;
}

static void there_is_no_lock_of_lmdb(void **state)
{
    (void) state;
    assert_int_equal(faccessat(scratch.fd, "meta/data.mdb", F_OK, 0), 0);
    assert_int_equal(faccessat(scratch.fd, "meta/lock.mdb", F_OK, 0), -1);
}

static void a_change_is_seen_when_it_is_made(void **state)
{
    (void) state;
    for (uint64_t i = 1; i < 10; i++) {
        assert_int_equal(change(), i);
        assert_int_equal(newest_version(0), i);
    }
}

static atomic_bool is_changed;

static void *change_once(void *argument)
{
    *(uint64_t *) argument = change();
    atomic_store(&is_changed, true);
    return NULL;
}

static void a_reader_lets_two_changes_pass_and_no_third(void **state)
{
    (void) state;
    pthread_t thread;
    uint64_t last = 0;
    for (int i = 0; i < 20; i++) /* pages that are free to be written over */
        assert_int_equal(change(), i + 1);
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    assert_int_equal(change(), 21);
    assert_int_equal(newest_version(0), 21);
    assert_int_equal(change(), 22);
    assert_int_equal(newest_version(0), 22);
    assert_int_equal(version_of_all(&txn, 0), 20);
    atomic_store(&is_changed, false);
    assert_int_equal(pthread_create(&thread, NULL, change_once, &last), 0);
    (void) usleep(PATIENCE_US);
    assert_false(atomic_load(&is_changed));
    assert_int_equal(version_of_all(&txn, 0), 20);
    assert_int_equal(newest_version(0), 22);
    store_read_end(&txn);
    (void) pthread_join(thread, NULL);
    assert_int_equal(last, 23);
    assert_int_equal(newest_version(0), 23);
}

static atomic_bool is_over;
static atomic_int wrong;

/* Some readers take as long as several changes. */
static void *read_all_the_time(void *argument)
{
    unsigned pause_us = *(const unsigned *) argument;
    uint64_t last = 1;
    while (!atomic_load(&is_over)) {
        uint64_t version = newest_version(pause_us);
        wrong += version < last;
        last = version;
    }
    return NULL;
}

static void *change_many_times(void *argument)
{
    (void) argument;
    for (int i = 0; i < CHANGES; i++) {
        uint64_t version = change();
        wrong += version == 0 || newest_version(0) < version;
    }
    return NULL;
}

static void no_reader_sees_a_state_that_is_written_over(void **state)
{
    (void) state;
    static unsigned pauses_us[READERS] = {0, 0, 0, 500, 3000, 10000};
    pthread_t readers[READERS];
    pthread_t writers[WRITERS];
    atomic_store(&is_over, false);
    atomic_store(&wrong, 0);
    assert_int_equal(change(), 1);
    for (int i = 0; i < READERS; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_all_the_time, &pauses_us[i]), 0);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_create(&writers[i], NULL, change_many_times, NULL), 0);
    for (int i = 0; i < WRITERS; i++)
        (void) pthread_join(writers[i], NULL);
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++)
        (void) pthread_join(readers[i], NULL);
    assert_int_equal(atomic_load(&wrong), 0);
    assert_int_equal(newest_version(0), 1 + WRITERS * CHANGES);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(there_is_no_lock_of_lmdb),
        CASE(a_change_is_seen_when_it_is_made),
        CASE(a_reader_lets_two_changes_pass_and_no_third),
        CASE(no_reader_sees_a_state_that_is_written_over),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
