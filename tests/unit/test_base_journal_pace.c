/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/journal_pace.h"
#include "tests/unit/platform.h"
#include "tests/unit/volume.h"

enum { MANY = 512 };

static char *volume;

/* How often the journal of the volume was written because somebody asked for it; -1 if XFS does not
 * tell (xfs(5), /sys/fs/xfs/DEVICE/stats/stats: log writes, blocks, noiclogs, force). */
static long journal_writes(void)
{
    char path[PATH_MAX];
    char device[PATH_MAX];
    struct stat status;
    long forces = -1;
    assert_int_equal(stat(volume, &status), 0);
    (void) snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(status.st_dev),
                    minor(status.st_dev));
    ssize_t length = readlink(path, device, sizeof device - 1);
    if (length < 0)
        return -1;
    device[length] = '\0';
    (void) snprintf(path, sizeof path, "/sys/fs/xfs/%s/stats/stats", strrchr(device, '/') + 1);
    FILE *stats = fopen(path, "re");
    char line[256];
    while (stats && forces < 0 && fgets(line, sizeof line, stats))
        (void) sscanf(line, "log %*d %*d %*d %ld", &forces);
    if (stats)
        (void) fclose(stats);
    return forces;
}

static void note(struct journal_pace *pace, int count)
{
    for (int i = 0; i < count; i++)
        journal_pace_note(pace);
}

static void the_journal_is_written_while_many_entries_are_changed(void **state)
{
    (void) state;
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    long at_first = journal_writes();
    if (platform_is_darwin() || at_first < 0) {
        print_message("skip: nothing tells how often a journal is written here\n");
        skip();
    }
    owned(journal_pace_clear) struct journal_pace *pace = journal_pace_new(dirfd);
    note(pace, MANY - 1);
    (void) usleep(100000);
    assert_in_range(journal_writes() - at_first, 0, 3); /* the system's own */
    note(pace, 1);
    for (int i = 0; i < 1000 && journal_writes() - at_first < 50; i++)
        (void) usleep(10000);
    assert_true(journal_writes() - at_first >= 50);
    journal_pace_clear(&pace);
    long at_last = journal_writes();
    (void) usleep(100000);
    assert_in_range(journal_writes() - at_last, 0, 3);
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
        cmocka_unit_test(the_journal_is_written_while_many_entries_are_changed),
    };
    int rc = _cmocka_run_group_tests("journal_pace", tests,
                                     volume ? sizeof tests / sizeof tests[0] : 1, NULL, NULL);
    volume_unmount(volume);
    return rc;
}
