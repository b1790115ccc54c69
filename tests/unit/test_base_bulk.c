/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bulk.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/journal.h"
#include "base/small_calls.h"
#include "tests/unit/volume.h"

enum { MANY = 512 };

static char *volume;

static void note(struct bulk *bulk, int count)
{
    for (int i = 0; i < count; i++)
        bulk_note(bulk);
}

static struct journal watched;

static int64_t writes_since(int64_t count)
{
    return journal_count_writes(&watched) - count;
}

static int flush_something(void **state)
{
    (void) state;
    return journal_write(&watched);
}

static int watch(void **state)
{
    (void) state;
    watched = JOURNAL_NULL;
    if (!volume)
        return 0;
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    (void) journal_open(dirfd, &watched);
    return 0;
}

static int watch_no_more(void **state)
{
    (void) state;
    journal_close(&watched);
    return 0;
}

/* False, and says so, where the rest would prove nothing. */
static bool can_count(void)
{
    if (journal_count_writes(&watched) >= 0)
        return true;
    print_message("skip: nothing tells how often a journal is written here\n");
    return false;
}

/* The system writes it by itself now and then, but not time and again. */
static bool is_left_alone(void)
{
    for (int i = 0; i < 10; i++) {
        int64_t at_first = journal_count_writes(&watched);
        (void) usleep(200000);
        if (writes_since(at_first) <= 3)
            return true;
    }
    return false;
}

/* While somebody flushes now and then, which is not counted. */
static bool is_written(void **state)
{
    int64_t at_first = journal_count_writes(&watched);
    int64_t flushes = 0;
    for (int i = 0; i < 2000 && writes_since(at_first) < 50 + flushes; i++) {
        if (i % 50 == 0) {
            assert_int_equal(flush_something(state), 0);
            flushes++;
        }
        (void) usleep(10000);
    }
    return writes_since(at_first) >= 50 + flushes;
}

static void the_journal_is_written_while_many_entries_are_changed_and_others_flush(void **state)
{
    if (!can_count())
        skip();
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    owned(bulk_end) struct bulk *bulk = bulk_begin(dirfd);
    note(bulk, MANY - 1);
    assert_int_equal(flush_something(state), 0);
    assert_true(is_left_alone());
    note(bulk, 1);
    assert_true(is_written(state));
    bulk_end(&bulk);
    assert_true(is_left_alone());
}

static void the_journal_is_left_alone_while_nobody_else_flushes(void **state)
{
    if (!can_count())
        skip();
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    owned(bulk_end) struct bulk *bulk = bulk_begin(dirfd);
    note(bulk, MANY);
    assert_true(is_left_alone());
    assert_true(is_written(state));
    assert_true(is_left_alone()); /* a second later */
}

static void two_who_have_many_entries_take_each_other_for_nobody(void **state)
{
    if (!can_count())
        skip();
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    owned(bulk_end) struct bulk *one = bulk_begin(dirfd);
    owned(bulk_end) struct bulk *other = bulk_begin(dirfd);
    note(one, MANY);
    note(other, MANY);
    assert_true(is_written(state));
    assert_true(is_left_alone());
    bulk_end(&one);
    assert_true(is_written(state)); /* for the other */
}

static void the_directory_stays_as_it_is(void **state)
{
    (void) state;
    struct stat before;
    struct stat after;
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    assert_int_equal(fstat(dirfd, &before), 0);
    owned(bulk_end) struct bulk *bulk = bulk_begin(dirfd);
    note(bulk, 2 * MANY);
    (void) usleep(50000);
    bulk_end(&bulk);
    assert_int_equal(fstat(dirfd, &after), 0);
    assert_int_equal(after.st_nlink, before.st_nlink);
    assert_memory_equal(&after.st_mtim, &before.st_mtim, sizeof after.st_mtim);
    assert_memory_equal(&after.st_ctim, &before.st_ctim, sizeof after.st_ctim);
}

static void nothing_happens_where_no_file_can_be_made(void **state)
{
    (void) state;
    owned(fd_close) int without_journal = fd_open_dir(AT_FDCWD, "/proc");
    const int dirfds[] = {-1, without_journal};
    for (int i = 0; i < 2; i++) {
        owned(bulk_end) struct bulk *bulk = bulk_begin(dirfds[i]);
        note(bulk, 2 * MANY);
    }
}

enum { PAUSE_MS = 10 };

/* While a small call is under way. */
static int64_t time_noting(struct bulk *bulk, int count)
{
    small_calls_begin();
    int64_t begun = clock_monotonic_ms();
    note(bulk, count);
    int64_t took = clock_monotonic_ms() - begun;
    small_calls_end();
    return took;
}

static void only_who_has_many_entries_gives_way_to_a_small_call(void **state)
{
    (void) state;
    int64_t took = PAUSE_MS;
    for (int i = 0; i < 20 && took >= PAUSE_MS - 1; i++) { /* the machine may be slow */
        owned(bulk_end) struct bulk *few = bulk_begin(-1);
        took = time_noting(few, MANY - 1);
    }
    assert_true(took < PAUSE_MS - 1);
    owned(bulk_end) struct bulk *bulk = bulk_begin(-1);
    note(bulk, MANY - 1);
    for (int i = 0; i < 50 && took < PAUSE_MS - 1; i++) {
        (void) usleep(2 * PAUSE_MS * 1000); /* who has waited does not at once again */
        took = time_noting(bulk, 1);
    }
    assert_true(took >= PAUSE_MS - 1);
}

int main(void)
{
    volume = volume_mount("xfs", 320);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_where_no_file_can_be_made),
        cmocka_unit_test(only_who_has_many_entries_gives_way_to_a_small_call),
        cmocka_unit_test(the_directory_stays_as_it_is),
        cmocka_unit_test(the_journal_is_written_while_many_entries_are_changed_and_others_flush),
        cmocka_unit_test(the_journal_is_left_alone_while_nobody_else_flushes),
        cmocka_unit_test(two_who_have_many_entries_take_each_other_for_nobody),
    };
    int rc = _cmocka_run_group_tests("bulk", tests, volume ? sizeof tests / sizeof tests[0] : 2,
                                     watch, watch_no_more);
    volume_unmount(volume);
    return rc;
}
