/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "snapshotter/internal.h"
#include "tests/unit/platform.h"
#include "tests/unit/small_callers.h"
#include "tests/unit/snapshotter_fixture.h"
#include "tests/unit/volume_fixture.h"
#include "tree/tree.h"

/* What is counted of a file of which a part was changed, and when that is decided and done. */

enum { FILE_BYTES = 1 << 20, PART_BYTES = 256 << 10 };

static int set_up_there(void **state)
{
    (void) volume_fixture_set_up(state);
    const struct volume_fixture *fixture = *state;
    if (fixture->volume)
        (void) setenv("TMPDIR", fixture->path, 1);
    return fixture->volume ? set_up(state) : 0;
}

static int tear_down_there(void **state)
{
    const struct volume_fixture *fixture = *state;
    if (fixture->volume)
        (void) tear_down(state);
    (void) unsetenv("TMPDIR");
    return volume_fixture_tear_down(state);
}

/* As the daemon does it. */
static void probe_volume(void **state)
{
    struct tree_abilities abilities = {0};
    assert_int_equal(tree_probe(volume_fixture(state)->fd, &abilities, NULL), 0);
    assert_int_equal(abilities.tells_private_sizes, platform_is_darwin());
    snapshots.snapshotter->options.tells_private_sizes = abilities.tells_private_sizes;
}

static struct snapshot_usage usage_of(const char *key)
{
    struct snapshot_usage usage = {0};
    assert_int_equal(snapshot_usage_measure(snapshots.snapshotter, "one", key, NULL, &usage, NULL),
                     0);
    return usage;
}

static void wait_for_clock(void)
{
    (void) usleep(20000); /* the volume's is coarser than ours */
}

/* An active snapshot with a file of its parent, of which it has changed one byte. */
static void make_changed_child(void)
{
    assert_int_equal(prepare("active", "", NULL), 0);
    owned(mem_free) char *base = source_of("active");
    write_file(base, "file", FILE_BYTES);
    assert_int_equal(commit("active", "base", "", NULL), 0);
    assert_int_equal(usage_of("base").inodes, 2);
    wait_for_clock();
    assert_int_equal(prepare("child", "base", NULL), 0);
    owned(mem_free) char *child = source_of("child");
    owned(mem_free) char *path = mem_printf("%s/file", child);
    wait_for_clock();
    owned(fd_close) int fd = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(pwrite(fd, "y", 1, 0), 1);
    assert_int_equal(fsync(fd), 0);
}

static void assert_counts_part(const char *key)
{
    struct snapshot_usage usage = usage_of(key);
    assert_int_equal(usage.inodes, 1);
    if (platform_is_darwin())
        assert_in_range(usage.bytes, 1, PART_BYTES);
    else
        assert_in_range(usage.bytes, FILE_BYTES, FILE_BYTES + PART_BYTES);
}

static void a_changed_part_counts_where_the_volume_tells_it(void **state)
{
    probe_volume(state);
    make_changed_child();
    assert_counts_part("child");
    assert_in_range(usage_of("base").bytes, FILE_BYTES, FILE_BYTES + PART_BYTES);
}

static void a_child_changes_nothing_of_what_was_measured(void **state)
{
    probe_volume(state);
    make_changed_child();
    assert_int_equal(commit("child", "layer", "", NULL), 0);
    assert_counts_part("layer");
    assert_int_equal(prepare("grandchild", "layer", NULL), 0);
    assert_counts_part("layer");
}

static int forget_measure(struct store_txn *txn, void *context, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    assert_int_equal(store_snapshot_get(txn, "one", context, &record, error), 1);
    record.measured = false;
    return store_snapshot_put(txn, &record, error);
}

static void assert_counts_whole(const char *key)
{
    assert_int_equal(store_write(snapshots.store, forget_measure, (void *) key, NULL), 0);
    assert_in_range(usage_of(key).bytes, FILE_BYTES, FILE_BYTES + PART_BYTES);
}

static void what_has_been_cloned_before_it_is_measured_counts_whole(void **state)
{
    probe_volume(state);
    make_changed_child();
    assert_int_equal(commit("child", "layer", "", NULL), 0);
    assert_counts_part("layer");
    pins_hold(snapshots.snapshotter->pins, "one", "layer"); /* as a Prepare does first */
    assert_counts_whole("layer");
    pins_unhold(snapshots.snapshotter->pins, "one", "layer");
    assert_int_equal(prepare("grandchild", "layer", NULL), 0);
    assert_counts_whole("layer");
    assert_counts_whole("base");
}

static int64_t time_until_measured(const char *key)
{
    struct snapshot_usage usage;
    int known = 0;
    assert_int_equal(prepare("active", "", NULL), 0);
    int64_t begun = clock_monotonic_ms();
    assert_int_equal(commit("active", key, "", NULL), 0);
    while (known == 0 && clock_monotonic_ms() < begun + 10000) {
        (void) usleep(100);
        known = snapshot_usage_known(snapshots.snapshotter, "one", key, &usage, NULL);
    }
    assert_int_equal(known, 1);
    return clock_monotonic_ms() - begun;
}

/* containerd writes to its own database when it has the answer. */
static void small_calls_come_before_what_a_commit_leaves_to_do(void **state)
{
    (void) volume_fixture(state); /* or skipped */
    int64_t waited = 0;
    for (int i = 0; i < 50 && waited < SMALL_CALLERS_PAUSE_MS - 2; i++) { /* or there is noise */
        owned(mem_free) char *alone = mem_printf("%d alone", i);
        owned(mem_free) char *beside = mem_printf("%d", i);
        waited = -time_until_measured(alone);
        (void) usleep(2 * SMALL_CALLERS_PAUSE_MS * 1000); /* nothing is left of it */
        small_callers_start();
        waited += time_until_measured(beside);
        small_callers_stop();
    }
    assert_true(waited >= SMALL_CALLERS_PAUSE_MS - 2);
}

#define TEST(test) cmocka_unit_test_setup_teardown(test, set_up_there, tear_down_there)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_changed_part_counts_where_the_volume_tells_it),
        TEST(a_child_changes_nothing_of_what_was_measured),
        TEST(what_has_been_cloned_before_it_is_measured_counts_whole),
        TEST(small_calls_come_before_what_a_commit_leaves_to_do),
    };
    return cmocka_run_group_tests(tests, volume_fixture_xfs, volume_fixture_unmount);
}
