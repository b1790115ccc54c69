/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/flush_ahead.h"
#include "tests/unit/volume.h"

static char *volume;

/* XFS gives data its place when it is written to disk. */
static bool is_on_disk(int fd)
{
    char memory[sizeof(struct fiemap) + sizeof(struct fiemap_extent)] = {0};
    struct fiemap *map = (struct fiemap *) memory;
    *map = (struct fiemap){.fm_length = FIEMAP_MAX_OFFSET, .fm_extent_count = 1};
    assert_int_equal(ioctl(fd, FS_IOC_FIEMAP, map), 0);
    assert_int_equal(map->fm_mapped_extents, 1);
    return !(map->fm_extents[0].fe_flags & FIEMAP_EXTENT_DELALLOC);
}

static bool soon_on_disk(int fd)
{
    for (int i = 0; i < 500 && !is_on_disk(fd); i++)
        (void) usleep(10000);
    return is_on_disk(fd);
}

/* 4 MiB, then twice as much as before each time, 128 MiB at last. */
static void flushes_begin_small_and_grow(void **state)
{
    (void) state;
    static const uint64_t mib[] = {4, 12, 28, 60, 124, 252, 380};
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    owned(flush_ahead_clear) struct flush_ahead *ahead = flush_ahead_new(dirfd);
    for (size_t i = 0; i < sizeof mib / sizeof mib[0]; i++) {
        char name[] = {(char) ('a' + i), '\0'};
        owned(fd_close) int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, name, 1), 1);
        flush_ahead_note(ahead, (mib[i] << 20) - 1);
        (void) usleep(200000);
        assert_false(is_on_disk(fd));
        flush_ahead_note(ahead, mib[i] << 20);
        assert_true(soon_on_disk(fd));
    }
}

static void nothing_happens_without_a_directory(void **state)
{
    (void) state;
    owned(flush_ahead_clear) struct flush_ahead *ahead = flush_ahead_new(-1);
    flush_ahead_note(ahead, UINT64_MAX);
}

int main(void)
{
    volume = volume_mount("xfs", 320);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_happens_without_a_directory),
        cmocka_unit_test(flushes_begin_small_and_grow),
    };
    size_t count = volume && volume_has(volume_kind("xfs"), VOLUME_EXTENTS)
                       ? sizeof tests / sizeof tests[0]
                       : 1;
    int rc = _cmocka_run_group_tests("flush_ahead", tests, count, NULL, NULL);
    volume_unmount(volume);
    return rc;
}
