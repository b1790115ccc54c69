/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/platform.h"
#include "tests/unit/small_callers.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

static struct tree_usage usage_of(int dirfd, const char *name, const struct timestamp *since)
{
    struct error error = {0};
    struct tree_usage usage = {0};
    if (tree_measure(dirfd, name, since, NULL, &usage, &error) != 0)
        fail_msg("%s", error.message);
    return usage;
}

static void make_sparse(int dirfd, const char *path, off_t size)
{
    tree_sample_file(dirfd, path, "");
    owned(fd_close) int fd = openat(dirfd, path, O_WRONLY);
    assert_int_equal(ftruncate(fd, size), 0);
}

static uint64_t blocks_of(int dirfd, const char *path)
{
    struct stat status;
    assert_int_equal(fstatat(dirfd, path, &status, AT_SYMLINK_NOFOLLOW), 0);
    if (S_ISREG(status.st_mode) && status.st_blocks == 0) /* of a file with data: nobody counts */
        return (uint64_t) (status.st_size + 4095) / 4096 * 4096;
    return (uint64_t) status.st_blocks * 512;
}

static void a_file_with_many_names_counts_once(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_dir(fixture->fd, "tree");
    tree_sample_dir(fixture->fd, "tree/below");
    tree_sample_file(fixture->fd, "tree/one", "some bytes");
    assert_int_equal(linkat(fixture->fd, "tree/one", fixture->fd, "tree/below/two", 0), 0);
    assert_int_equal(symlinkat("one", fixture->fd, "tree/link"), 0);
    sync();
    struct tree_usage usage = usage_of(fixture->fd, "tree", NULL);
    assert_int_equal(usage.inodes, 4);
    assert_int_equal(usage.bytes,
                     blocks_of(fixture->fd, "tree") + blocks_of(fixture->fd, "tree/below") +
                         blocks_of(fixture->fd, "tree/one") + blocks_of(fixture->fd, "tree/link"));
}

static void a_file_with_data_takes_room_and_a_hole_takes_none(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_dir(fixture->fd, "tree");
    uint64_t empty = usage_of(fixture->fd, "tree", NULL).bytes;
    if (volume_has(fixture->kind, VOLUME_HOLES)) {
        make_sparse(fixture->fd, "tree/hole", 1 << 20);
        assert_in_range(usage_of(fixture->fd, "tree", NULL).bytes, 0, empty + 4096);
    }
    tree_sample_file(fixture->fd, "tree/file", "some bytes");
    sync();
    assert_in_range(usage_of(fixture->fd, "tree", NULL).bytes, empty + 4096, empty + 65536);
}

static void only_what_changed_since_the_clone_counts(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct tree_clone_options options = {0};
    struct tree_clone_result result;
    tree_sample_make(fixture->fd, "origin");
    assert_int_equal(
        tree_clone(fixture->fd, "origin", fixture->fd, "clone", &options, &result, NULL), 0);
    assert_int_equal(usage_of(fixture->fd, "clone", &result.time).inodes, 0);

    (void) usleep(20000); /* beyond the tick of the file system's clock */
    owned(fd_close) int fd = openat(fixture->fd, "clone/big", O_WRONLY);
    assert_int_equal(pwrite(fd, "x", 1, 0), 1);
    assert_int_equal(fsync(fd), 0);
    tree_sample_file(fixture->fd, "clone/group/new", "y");
    assert_int_equal(fchmodat(fixture->fd, "clone/small", 0600, 0), 0);
    struct tree_usage usage = usage_of(fixture->fd, "clone", &result.time);
    assert_int_equal(usage.inodes, 4); /* big, group, new, small */
    assert_true(usage.bytes >= blocks_of(fixture->fd, "clone/big"));
    if (platform_is_darwin() && result.bytes_copied == 0)
        assert_in_range(usage.private_bytes, 1, usage.bytes - 1);
    else
        assert_int_equal(usage.private_bytes, usage.bytes);
}

static void mounts_inside_are_not_counted(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_dir(fixture->fd, "tree");
    tree_sample_dir(fixture->fd, "tree/mounted");
    owned(mem_free) char *path = mem_printf("%s/tree/mounted", fixture->path);
    assert_int_equal(mount("tmpfs", path, "tmpfs", 0, NULL), 0);
    tree_sample_file(fixture->fd, "tree/mounted/file", "x");
    assert_int_equal(usage_of(fixture->fd, "tree", NULL).inodes, 1);
    assert_int_equal(umount(path), 0);
}

static void a_measurement_can_be_cancelled(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct cancel cancel = {0};
    struct tree_usage usage;
    tree_sample_make(fixture->fd, "tree");
    cancel_request(&cancel);
    assert_int_equal(tree_measure(fixture->fd, "tree", NULL, &cancel, &usage, NULL),
                     ERROR_CANCELLED);
}

/* Links, since to look at a file may take long. */
static void make_links(int dirfd, const char *path, unsigned count)
{
    char name[64];
    tree_sample_dir(dirfd, path);
    for (unsigned i = 0; i < count; i++) {
        (void) snprintf(name, sizeof name, "%s/%u", path, i);
        assert_int_equal(symlinkat("there", dirfd, name), 0);
    }
}

static int64_t time_measuring(int dirfd, const char *name)
{
    int64_t begun = clock_monotonic_ms();
    (void) usage_of(dirfd, name, NULL);
    return clock_monotonic_ms() - begun;
}

static void small_calls_come_before_the_measurement_of_many_entries(void **state)
{
    enum { MANY = 512, PAUSE_MS = SMALL_CALLERS_PAUSE_MS }; /* as in tree/measure.c */
    const struct volume_fixture *fixture = volume_fixture(state);
    make_links(fixture->fd, "few", MANY);
    make_links(fixture->fd, "many", MANY + 1);
    small_callers_start();
    int64_t waited = 0;
    for (int i = 0; i < 50 && waited < PAUSE_MS - 1; i++) { /* other things take time, too */
        (void) usleep(2 * PAUSE_MS * 1000); /* who has waited does not at once again */
        waited = -time_measuring(fixture->fd, "few");
        waited += time_measuring(fixture->fd, "many");
    }
    small_callers_stop();
    assert_true(waited >= PAUSE_MS - 1);
}

static void a_tree_is_small_up_to_its_number_of_entries(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    char path[32];
    tree_sample_dir(fixture->fd, "tree");
    tree_sample_dir(fixture->fd, "tree/below");
    for (int i = 0; i < 8; i++) {
        (void) snprintf(path, sizeof path, "tree/below/%d", i);
        tree_sample_file(fixture->fd, path, "");
    }
    assert_true(tree_is_small(fixture->fd, "tree", 10, TREE_ANY_BYTES));
    assert_true(tree_is_small(fixture->fd, "tree", 1000, TREE_ANY_BYTES));
    assert_false(tree_is_small(fixture->fd, "tree", 9, TREE_ANY_BYTES));
    assert_false(tree_is_small(fixture->fd, "tree", 0, TREE_ANY_BYTES));
    assert_false(tree_is_small(fixture->fd, "missing", 10, TREE_ANY_BYTES));
}

/* A file of so many bytes, all of them a hole. */
static void a_tree_is_small_up_to_its_bytes(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    tree_sample_dir(fixture->fd, "tree");
    tree_sample_dir(fixture->fd, "tree/below");
    make_sparse(fixture->fd, "tree/one", 1000);
    make_sparse(fixture->fd, "tree/below/two", 2000);
    assert_int_equal(symlinkat("a long target that is no data", fixture->fd, "tree/link"), 0);
    assert_true(tree_is_small(fixture->fd, "tree", 100, 3000));
    assert_false(tree_is_small(fixture->fd, "tree", 100, 2999));
    assert_false(tree_is_small(fixture->fd, "tree", 100, 0));
    assert_false(tree_is_small(fixture->fd, "tree", 4, 3000));
    make_sparse(fixture->fd, "tree/huge", (off_t) 1 << 40);
    assert_false(tree_is_small(fixture->fd, "tree", 100, 3000));
    assert_true(tree_is_small(fixture->fd, "tree", 100, TREE_ANY_BYTES));
}

static bool is_empty(int dirfd)
{
    struct tree_usage usage = usage_of(dirfd, ".", NULL);
    return usage.inodes == 1;
}

static void a_probe_tells_what_the_volume_can_do(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct error error = {0};
    struct tree_abilities abilities = {0};
    assert_int_equal(tree_probe(fixture->fd, &abilities, &error), 0);
    assert_int_equal(abilities.method, volume_has(fixture->kind, VOLUME_REFLINKS)
                                           ? TREE_CLONE_REFLINK
                                           : TREE_CLONE_COPY);
    assert_int_equal(abilities.clones_directories,
                     platform_is_darwin() && abilities.method == TREE_CLONE_REFLINK);
    assert_int_equal(abilities.tells_shared_data, strcmp(fixture->kind, "xfs") == 0);
    assert_true(is_empty(fixture->fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(a_file_with_many_names_counts_once),
        VOLUME_TEST(a_file_with_data_takes_room_and_a_hole_takes_none),
        VOLUME_TEST(only_what_changed_since_the_clone_counts),
        VOLUME_TEST(mounts_inside_are_not_counted),
        VOLUME_TEST(a_measurement_can_be_cancelled),
        VOLUME_TEST(small_calls_come_before_the_measurement_of_many_entries),
        VOLUME_TEST(a_tree_is_small_up_to_its_number_of_entries),
        VOLUME_TEST(a_tree_is_small_up_to_its_bytes),
        VOLUME_TEST(a_probe_tells_what_the_volume_can_do),
    };
    return cmocka_run_group_tests_name("measure on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("measure on ext4", tests, volume_fixture_ext4,
                                       volume_fixture_unmount);
}
