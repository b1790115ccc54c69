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

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/journal.h"
#include "base/journal_pace.h"
#include "tests/unit/volume.h"

enum { MANY = 512 };

static char *volume;

static void note(struct journal_pace *pace, int count)
{
    for (int i = 0; i < count; i++)
        journal_pace_note(pace);
}

/* What the system does by itself is not always nothing. */
enum { OWN = 3 };

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

static void the_journal_is_written_while_many_entries_are_changed_and_others_flush(void **state)
{
    if (!can_count())
        skip();
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    owned(journal_pace_clear) struct journal_pace *pace = journal_pace_new(dirfd);
    note(pace, MANY - 1);
    int64_t at_first = journal_count_writes(&watched);
    assert_int_equal(flush_something(state), 0);
    (void) usleep(100000);
    assert_in_range(writes_since(at_first), 1, 1 + OWN);
    note(pace, 1);
    for (int i = 0; i < 1000 && writes_since(at_first) < 50; i++) {
        if (i % 50 == 0)
            assert_int_equal(flush_something(state), 0);
        (void) usleep(10000);
    }
    assert_true(writes_since(at_first) >= 50);
    journal_pace_clear(&pace);
    int64_t at_last = journal_count_writes(&watched);
    (void) usleep(100000);
    assert_in_range(writes_since(at_last), 0, OWN);
}

static void the_journal_is_left_alone_while_nobody_else_flushes(void **state)
{
    if (!can_count())
        skip();
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    owned(journal_pace_clear) struct journal_pace *pace = journal_pace_new(dirfd);
    note(pace, MANY);
    (void) usleep(50000); /* until the thread has begun */
    int64_t at_first = journal_count_writes(&watched);
    (void) usleep(200000);
    assert_in_range(writes_since(at_first), 0, OWN);
    assert_int_equal(flush_something(state), 0);
    for (int i = 0; i < 500 && writes_since(at_first) < 20; i++)
        (void) usleep(10000);
    assert_true(writes_since(at_first) >= 20);
    (void) usleep(1500000); /* it is over a second after that */
    int64_t at_last = journal_count_writes(&watched);
    (void) usleep(200000);
    assert_in_range(writes_since(at_last), 0, OWN);
}

static void the_directory_stays_as_it_is(void **state)
{
    (void) state;
    struct stat before;
    struct stat after;
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    assert_int_equal(fstat(dirfd, &before), 0);
    owned(journal_pace_clear) struct journal_pace *pace = journal_pace_new(dirfd);
    note(pace, 2 * MANY);
    (void) usleep(50000);
    journal_pace_clear(&pace);
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
        owned(journal_pace_clear) struct journal_pace *pace = journal_pace_new(dirfds[i]);
        note(pace, 2 * MANY);
    }
}

int main(void)
{
    volume = volume_mount("xfs", 320);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_where_no_file_can_be_made),
        cmocka_unit_test(the_directory_stays_as_it_is),
        cmocka_unit_test(the_journal_is_written_while_many_entries_are_changed_and_others_flush),
        cmocka_unit_test(the_journal_is_left_alone_while_nobody_else_flushes),
    };
    int rc = _cmocka_run_group_tests(
        "journal_pace", tests, volume ? sizeof tests / sizeof tests[0] : 1, watch, watch_no_more);
    volume_unmount(volume);
    return rc;
}
