/* SPDX-License-Identifier: Apache-2.0 */
/* Where the threads of a walk go. */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/platform.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/os.h"
#include "tree/tree.h"
#include "tree/walk.h"

enum { DIRS = 20, GROUPS = 2, PATIENCE_S = 60 };

/* Each thread that has come into a directory stays until another one is in one, too. */
struct meeting {
    struct walk *walk;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned arrivals; /* under lock, as all below */
    uint64_t waiting;  /* group of the thread that waits for another, 0: none */
    unsigned crowded;  /* meetings in one group */
    bool alone;        /* nobody came */
};

static void meet(struct meeting *meeting, uint64_t group)
{
    struct timespec end;
    (void) clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_S;
    (void) pthread_mutex_lock(&meeting->lock);
    unsigned arrival = meeting->arrivals++;
    if (meeting->waiting != 0) {
        meeting->crowded += meeting->waiting == group ? 1 : 0;
        meeting->waiting = 0;
        (void) pthread_cond_broadcast(&meeting->changed);
    } else {
        meeting->waiting = group;
        while (meeting->arrivals == arrival + 1 && !meeting->alone)
            meeting->alone = pthread_cond_timedwait(&meeting->changed, &meeting->lock, &end) != 0;
    }
    (void) pthread_mutex_unlock(&meeting->lock);
}

static int visit(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                 struct error *error)
{
    struct meeting *meeting = context;
    (void) error;
    if (dir->parent)
        meet(meeting, dir->groups[0]);
    else if (entry->type == DT_DIR)
        walk_enter_at(meeting->walk, dir, entry->name,
                      (const uint64_t[WALK_TREES_MAX]){entry->name[0] == 'a' ? 1 : 2});
    return 0;
}

static const struct walk_visitor visitor = {.entry = visit};

/* Directories of two groups, in whatever order, and files enough to make a second thread start. */
static void make_tree(int dirfd)
{
    char name[32];
    for (int i = 0; i < DIRS; i++) {
        (void) snprintf(name, sizeof name, "%c%d", "ab"[i % GROUPS], i);
        tree_sample_dir(dirfd, name);
        (void) snprintf(name, sizeof name, "%c%d/file", "ab"[i % GROUPS], i);
        tree_sample_file(dirfd, name, "x");
    }
    for (int i = 0; i < 600; i++) {
        (void) snprintf(name, sizeof name, "file-%d", i);
        tree_sample_file(dirfd, name, "");
    }
}

static void threads_keep_out_of_the_groups_of_others(void **state)
{
    (void) state;
    struct scratch scratch;
    struct error error = {0};
    scratch_make(&scratch);
    make_tree(scratch.fd);
    struct meeting meeting = {.lock = PTHREAD_MUTEX_INITIALIZER,
                              .changed = PTHREAD_COND_INITIALIZER};
    struct walk_options options = {
        .visitor = &visitor, .context = &meeting, .trees = 1, .threads = GROUPS};
    meeting.walk = walk_new(&options, (int[]){fd_open_dir(scratch.fd, "."), -1});
    assert_int_equal(walk_run(meeting.walk, &error), 0);
    walk_clear(&meeting.walk);
    assert_int_equal(meeting.arrivals, DIRS);
    assert_false(meeting.alone);
    assert_int_equal(meeting.crowded, 0);
    scratch_remove(&scratch);
}

static struct os_stat stat_of(int dirfd, const char *name)
{
    struct os_stat found;
    assert_int_equal(os_stat_at(dirfd, name, &found), 0);
    return found;
}

/* New directories go from group to group, files to the group of their directory. */
static void xfs_tells_its_groups(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    unsigned bits = os_group_bits(fixture->fd);
    uint64_t seen = 0;
    char name[32];
    platform_needs_linux("APFS has no groups");
    if (strcmp(fixture->kind, "xfs") != 0) {
        assert_int_equal(bits, 0);
        return;
    }
    assert_in_range(bits, 8, 63);
    for (int i = 0; i < DIRS; i++) {
        (void) snprintf(name, sizeof name, "dir-%d", i);
        tree_sample_dir(fixture->fd, name);
        uint64_t group = os_group(bits, stat_of(fixture->fd, name).ino);
        (void) snprintf(name, sizeof name, "dir-%d/file", i);
        tree_sample_file(fixture->fd, name, "x");
        assert_int_equal(os_group(bits, stat_of(fixture->fd, name).ino), group);
        assert_in_range(group, 1, 16);
        seen |= (uint64_t) 1 << group;
    }
    assert_true(__builtin_popcountll(seen) > 1);
}

static void others_have_no_groups(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    assert_int_equal(os_group_bits(fixture->fd), 0);
    assert_int_equal(os_group(0, 12345), 0);
}

int main(void)
{
    const struct CMUnitTest walks[] = {
        cmocka_unit_test(threads_keep_out_of_the_groups_of_others),
    };
    const struct CMUnitTest on_xfs[] = {VOLUME_TEST(xfs_tells_its_groups)};
    const struct CMUnitTest elsewhere[] = {VOLUME_TEST(others_have_no_groups)};
    return cmocka_run_group_tests_name("walk", walks, NULL, NULL) +
           cmocka_run_group_tests_name("groups on XFS", on_xfs, volume_fixture_xfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("groups on Btrfs", elsewhere, volume_fixture_btrfs,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("groups on ext4", elsewhere, volume_fixture_ext4,
                                       volume_fixture_unmount) +
           cmocka_run_group_tests_name("groups on tmpfs", elsewhere, volume_fixture_tmpfs,
                                       volume_fixture_unmount);
}
