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

static void much_is_flushed_and_little_is_not(void **state)
{
    (void) state;
    owned(fd_close) int dirfd = fd_open_dir(AT_FDCWD, volume);
    owned(flush_ahead_clear) struct flush_ahead *ahead = flush_ahead_new(dirfd);
    static const char *const names[] = {"first", "second"};
    for (uint64_t i = 0; i < 2; i++) {
        owned(fd_close) int fd = openat(dirfd, names[i], O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        assert_int_equal(write(fd, names[i], 5), 5);
        flush_ahead_note(ahead, i * ((uint64_t) 200 << 20) + 1);
        (void) usleep(200000);
        assert_false(is_on_disk(fd));
        flush_ahead_note(ahead, (i + 1) * ((uint64_t) 200 << 20));
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
        cmocka_unit_test(much_is_flushed_and_little_is_not),
    };
    size_t count = volume && volume_has(volume_kind("xfs"), VOLUME_EXTENTS)
                       ? sizeof tests / sizeof tests[0]
                       : 1;
    int rc = _cmocka_run_group_tests("flush_ahead", tests, count, NULL, NULL);
    volume_unmount(volume);
    return rc;
}
