/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "snapshotter/cached_trees.h"
#include "snapshotter/unpacking.h"
#include "tests/unit/snapshotter_fixture.h"
#include "tree/layer.h"

/* Snapshots whose trees can be made again, and those who use them. */

static const struct unpacked durable = {.durable = true};

/* Unpacks one file into an active snapshot. */
static void unpack(const char *key, const char *file)
{
    owned(snapshot_unpacking_clear) struct snapshot_unpacking *unpacking = NULL;
    owned(mem_free) char *source = source_of(key);
    assert_int_equal(
        snapshot_unpacking_begin(snapshots.snapshotter, source, NULL, &unpacking, NULL), 0);
    write_file(source, file, 1000);
    struct path_list *touched = snapshot_unpacking_touched(unpacking);
    const struct path_item items[] = {{.path = ""}, {.path = file}};
    for (size_t i = 0; touched && i < 2; i++)
        assert_true(path_list_add(touched, &items[i]));
    assert_int_equal(snapshot_unpacking_finish(unpacking, &durable, NULL), 0);
}

/* What the next step of an unpacking does first. */
static void take_over(const char *key, const char *parent)
{
    struct snapshot_request request = {"one", key, parent, &no_labels};
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(snapshot_prepare_at_once(snapshots.snapshotter, &request, NULL, &mount, NULL),
                     0);
}

/* A base, and on it a snapshot that has a layer. */
static void make_layered(void)
{
    make_image("base");
    assert_int_equal(prepare("extract-1", "base", NULL), 0);
    unpack("extract-1", "one");
    assert_int_equal(commit("extract-1", "top", "base", NULL), 0);
}

static bool has_file(const char *folder, const char *name)
{
    owned(mem_free) char *path = mem_printf("%s/%s", folder, name);
    return faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void a_tree_that_is_shown_stays_whoever_looks_at_it(void **state)
{
    static const char *const keys[] = {"view", "extract-view"};
    (void) state;
    for (size_t i = 0; i < 2; i++) {
        owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
        make_layered();
        assert_int_equal(view(keys[i], "top", &mount), 0);
        assert_false(cached_trees_drop_one(snapshots.snapshotter));
        assert_true(has_file(mount.source, "one"));
        assert_int_equal(remove_it(keys[i], NULL), 0);
        assert_false(cached_trees_drop_one(snapshots.snapshotter));
        assert_int_equal(remove_it("top", NULL), 0);
        assert_int_equal(remove_it("base", NULL), 0);
    }
}

static void reopen(bool layers_off)
{
    close_all();
    snapshots.options.layers_off = layers_off;
    open_all();
}

static void no_layer_is_made_of_the_second_half_of_what_was_unpacked(void **state)
{
    (void) state;
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    make_image("base");
    assert_int_equal(prepare("extract-1", "base", NULL), 0);
    reopen(true);
    unpack("extract-1", "one");
    reopen(false);
    unpack("extract-1", "two");
    assert_int_equal(commit("extract-1", "top", "base", NULL), 0);
    (void) cached_trees_drop_one(snapshots.snapshotter);
    assert_int_equal(view("view", "top", &mount), 0);
    assert_true(has_file(mount.source, "two"));
    assert_true(has_file(mount.source, "one"));
}

static void a_view_survives_the_loss_of_a_tree_that_can_be_made_again(void **state)
{
    (void) state;
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    struct error error = {0};
    make_layered();
    take_over("extract-2", "top");
    assert_int_equal(view("view", "top", &mount), 0);
    snapshot_mount_clear(&mount);
    owned(mem_free) char *tree = source_of("view");
    close_all();
    owned(mem_free) char *folder = mem_printf("%.*s", (int) (strlen(tree) - strlen("/fs")), tree);
    owned(mem_free) char *aside = mem_printf("%s/lost", snapshots.scratch.path);
    assert_int_equal(rename(folder, aside), 0);
    open_all();
    if (snapshot_mounts(snapshots.snapshotter, "one", "view", NULL, &mount, &error) != 0)
        fail_msg("%s", error.message);
    assert_true(has_file(mount.source, "one"));
}

static void *look(void *key)
{
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    return view(key, "top", &mount) == 0 && has_file(mount.source, "one") ? key : NULL;
}

static uint64_t new_id(void)
{
    uint64_t id = 0;
    assert_int_equal(store_new_id(snapshots.store, &id, NULL), 0);
    return id;
}

static void a_crowd_of_views_has_the_tree_made_once(void **state)
{
    static char keys[][8] = {"view-1", "view-2", "view-3", "view-4", "view-5", "view-6"};
    enum { CROWD = sizeof keys / sizeof keys[0] };
    pthread_t threads[CROWD];
    (void) state;
    make_layered();
    take_over("extract-2", "top");
    uint64_t before = new_id();
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, look, keys[i]), 0);
    for (int i = 0; i < CROWD; i++) {
        void *result = NULL;
        assert_int_equal(pthread_join(threads[i], &result), 0);
        assert_ptr_equal(result, keys[i]);
    }
    assert_int_equal(new_id(), before + 2); /* one for the tree */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_tree_that_is_shown_stays_whoever_looks_at_it, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(no_layer_is_made_of_the_second_half_of_what_was_unpacked,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_view_survives_the_loss_of_a_tree_that_can_be_made_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_crowd_of_views_has_the_tree_made_once, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
