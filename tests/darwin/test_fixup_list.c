/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "snapshotter/unpacking.h"
#include "tests/darwin/losses.h"
#include "tests/unit/snapshotter_fixture.h"
#include "tests/unit/volume.h"
#include "tree/tree.h"

/* The fix-up lists of snapshots: when they are made, kept, and not believed. */

enum { DIRECTORIES = 600 };

static char *volume;

static int mount_volume(void **state)
{
    (void) state;
    volume = volume_mount("xfs", 512);
    if (volume)
        (void) setenv("TMPDIR", volume, 1);
    return 0;
}

static int unmount_volume(void **state)
{
    (void) state;
    (void) unsetenv("TMPDIR");
    volume_unmount(volume);
    return 0;
}

static int begin(void **state)
{
    if (!volume)
        return 0;
    (void) set_up(state);
    close_all();
    snapshots.options.clones_directories = true;
    open_all();
    return 0;
}

static int end(void **state)
{
    return volume ? tear_down(state) : 0;
}

/* Directories with a set-id file in each, all of them one file with several names. */
static void fill(const char *source)
{
    owned(fd_close) int fd = open(source, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    char name[64];
    for (int i = 0; i < DIRECTORIES; i++) {
        (void) snprintf(name, sizeof name, "%d", i);
        assert_int_equal(mkdirat(fd, name, 0755), 0);
        (void) snprintf(name, sizeof name, "%d/file", i);
        if (i > 0)
            assert_int_equal(linkat(fd, "0/file", fd, name, 0), 0);
        else
            write_file(source, name, 10);
    }
    assert_int_equal(fchmodat(fd, "0/file", 04755, 0), 0);
}

static void make_base(void)
{
    assert_int_equal(prepare("active", "", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    fill(source);
    assert_int_equal(commit("active", "base", "", NULL), 0);
}

/* What is beside the tree of a snapshot or active key. */
static char *list_of(const char *source)
{
    return mem_printf("%.*sfixups", (int) (strrchr(source, '/') + 1 - source), source);
}

static bool exists(const char *path)
{
    return access(path, F_OK) == 0;
}

static char *source_of_base(void)
{
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(view("look", "base", &mount), 0);
    assert_int_equal(remove_it("look", NULL), 0);
    return mem_strdup(mount.source);
}

static void assert_equal_to_base(const char *base, const char *key)
{
    struct error error = {0};
    owned(mem_free) char *text = NULL;
    owned(mem_free) char *source = source_of(key);
    if (tree_compare(AT_FDCWD, base, AT_FDCWD, source, &text, &error) != 0)
        fail_msg("%s%s", text ? text : "", error.message);
}

static void need_volume(void)
{
    if (!volume)
        skip();
}

static void wait_for(const char *path)
{
    for (int i = 0; i < 1000 && !exists(path); i++)
        (void) usleep(10000);
    assert_true(exists(path));
}

static void a_list_is_made_after_the_commit_and_used(void **state)
{
    (void) state;
    need_volume();
    make_base();
    owned(mem_free) char *base = source_of_base();
    owned(mem_free) char *list = list_of(base);
    wait_for(list);
    unsigned before = darwin_directories_cloned();
    assert_int_equal(prepare("child", "base", NULL), 0);
    assert_int_equal(darwin_directories_cloned(), before + 1);
    assert_equal_to_base(base, "child");
    owned(mem_free) char *source = source_of("child");
    owned(mem_free) char *none = list_of(source);
    assert_false(exists(none));
}

static void a_damaged_list_is_made_anew(void **state)
{
    (void) state;
    need_volume();
    make_base();
    owned(mem_free) char *base = source_of_base();
    owned(mem_free) char *list = list_of(base);
    wait_for(list);
    assert_int_equal(truncate(list, 5000), 0);
    assert_int_equal(prepare("child", "base", NULL), 0);
    assert_equal_to_base(base, "child");
    struct stat found;
    assert_int_equal(stat(list, &found), 0);
    assert_true(found.st_size > 5000);
}

/* Nobody should, but whoever has been given the directory may. */
static void a_tree_that_was_changed_after_all_can_be_cloned(void **state)
{
    (void) state;
    need_volume();
    make_base();
    owned(mem_free) char *base = source_of_base();
    owned(mem_free) char *list = list_of(base);
    owned(mem_free) char *gone = mem_printf("%s/7/file", base);
    wait_for(list);
    assert_int_equal(unlink(gone), 0);
    *strrchr(gone, '/') = '\0';
    assert_int_equal(rmdir(gone), 0);
    assert_int_equal(prepare("child", "base", NULL), 0);
    assert_equal_to_base(base, "child");
    assert_int_equal(prepare("second", "base", NULL), 0);
    assert_equal_to_base(base, "second");
}

static void a_list_goes_before_a_layer_comes(void **state)
{
    (void) state;
    need_volume();
    struct snapshot_unpacking *unpacking = NULL;
    assert_int_equal(prepare("extract-1 x", "", NULL), 0);
    owned(mem_free) char *source = source_of("extract-1 x");
    owned(mem_free) char *list = list_of(source);
    assert_int_equal(
        snapshot_unpacking_begin(snapshots.snapshotter, source, NULL, &unpacking, NULL), 0);
    fill(source);
    assert_int_equal(
        snapshot_unpacking_finish(unpacking, &(struct unpacked){.durable = true}, NULL), 0);
    snapshot_unpacking_clear(&unpacking);
    assert_true(exists(list));
    assert_int_equal(
        snapshot_unpacking_begin(snapshots.snapshotter, source, NULL, &unpacking, NULL), 0);
    assert_false(exists(list));
    snapshot_unpacking_clear(&unpacking);
}

#define LIST_TEST(test) cmocka_unit_test_setup_teardown(test, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LIST_TEST(a_list_is_made_after_the_commit_and_used),
        LIST_TEST(a_damaged_list_is_made_anew),
        LIST_TEST(a_tree_that_was_changed_after_all_can_be_cloned),
        LIST_TEST(a_list_goes_before_a_layer_comes),
    };
    return cmocka_run_group_tests(tests, mount_volume, unmount_volume);
}
