/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "snapshotter/held_tree.h"
#include "snapshotter/unpacking.h"
#include "store/trees.h"
#include "tests/unit/snapshotter_fixture.h"

static const struct unpacked durable = {.durable = true};

static int begin(const char *source, struct snapshot_unpacking **out_unpacking, struct error *error)
{
    return snapshot_unpacking_begin(snapshots.snapshotter, source, NULL, out_unpacking, error);
}

static void a_layer_goes_into_active_snapshots_alone(void **state)
{
    (void) state;
    owned(snapshot_unpacking_clear) struct snapshot_unpacking *unpacking = NULL;
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    make_image("image");
    assert_int_equal(view("view", "image", &mount), 0);
    assert_int_equal(begin(mount.source, &unpacking, NULL), ERROR_PRECONDITION);
    assert_int_equal(begin("/", &unpacking, NULL), ERROR_UNIMPLEMENTED);
    assert_int_equal(begin("", &unpacking, NULL), ERROR_UNIMPLEMENTED);
    assert_int_equal(prepare("active", "image", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    owned(mem_free) char *below = mem_printf("%s/x", source);
    owned(mem_free) char *detour = mem_printf("%s/../fs", source);
    assert_int_equal(begin(below, &unpacking, NULL), ERROR_PRECONDITION);
    assert_int_equal(begin(detour, &unpacking, NULL), ERROR_PRECONDITION);
    assert_int_equal(begin(source, &unpacking, NULL), 0);
    assert_int_equal(faccessat(snapshot_unpacking_fd(unpacking), "file", F_OK, 0), 0);
    assert_string_equal(snapshot_unpacking_record(unpacking)->key, "active");
}

static void a_commit_waits_for_no_layer_but_is_refused(void **state)
{
    (void) state;
    struct error error = {0};
    struct snapshot_unpacking *unpacking = NULL;
    struct snapshot_unpacking *other = NULL;
    assert_int_equal(prepare("active", "", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    assert_int_equal(begin(source, &unpacking, NULL), 0);
    assert_int_equal(begin(source, &other, &error), ERROR_PRECONDITION);
    assert_int_equal(commit("active", "image", "", &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "being unpacked"));
    snapshot_unpacking_clear(&unpacking);
    assert_int_equal(commit("active", "image", "", &error), 0);
    assert_int_equal(begin(source, &unpacking, NULL), ERROR_PRECONDITION);
}

static void a_removal_stops_the_layer(void **state)
{
    (void) state;
    struct snapshot_unpacking *unpacking = NULL;
    assert_int_equal(prepare("active", "", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    assert_int_equal(begin(source, &unpacking, NULL), 0);
    assert_false(cancel_requested(snapshot_unpacking_cancel(unpacking)));
    assert_int_equal(remove_it("active", NULL), 0);
    assert_true(cancel_requested(snapshot_unpacking_cancel(unpacking)));
    assert_int_equal(prepare("active", "", NULL), 0);
    snapshot_unpacking_clear(&unpacking);
    assert_int_equal(commit("active", "image", "", NULL), 0);
}

static void the_callers_cancel_stops_the_layer(void **state)
{
    (void) state;
    struct cancel outer = {0};
    owned(snapshot_unpacking_clear) struct snapshot_unpacking *unpacking = NULL;
    assert_int_equal(prepare("active", "", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    assert_int_equal(
        snapshot_unpacking_begin(snapshots.snapshotter, source, &outer, &unpacking, NULL), 0);
    cancel_request(&outer);
    assert_true(cancel_requested(snapshot_unpacking_cancel(unpacking)));
}

/* Unpacks nothing into key, count times, of which the first is flushed, and commits it. True if the
 * snapshot is noted as one that a power cut may damage. */
static bool unpacked_is_doubtful(const char *key, unsigned count)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    struct store_unflushed *notes = NULL;
    size_t noted = 0;
    assert_int_equal(prepare(key, "", NULL), 0);
    for (unsigned i = 0; i < count; i++) {
        owned(mem_free) char *source = source_of(key);
        owned(snapshot_unpacking_clear) struct snapshot_unpacking *unpacking = NULL;
        assert_int_equal(begin(source, &unpacking, NULL), 0);
        if (i == 0)
            assert_int_equal(snapshot_unpacking_finish(unpacking, &durable, NULL), 0);
    }
    assert_int_equal(commit(key, "image", "", NULL), 0);
    assert_int_equal(store_read_begin(snapshots.store, &txn, NULL), 0);
    assert_int_equal(store_tree_list_unflushed(&txn, &notes, &noted, NULL), 0);
    mem_free(&notes);
    return noted > 0;
}

static void what_was_unpacked_and_flushed_need_not_be_flushed_again(void **state)
{
    (void) state;
    assert_false(unpacked_is_doubtful("default/1/extract-1-x sha256:y", 1));
}

static void what_others_may_have_written_must_be_flushed(void **state)
{
    (void) state;
    assert_true(unpacked_is_doubtful("default/1/container", 1));
}

static void a_second_layer_that_was_not_flushed_must_be(void **state)
{
    (void) state;
    assert_true(unpacked_is_doubtful("default/1/extract-1-x sha256:y", 2));
}

static void a_held_tree_is_not_removed(void **state)
{
    (void) state;
    struct error error = {0};
    struct held_tree tree = HELD_TREE_NULL;
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    make_image("image");
    assert_int_equal(view("view", "image", &mount), 0);
    assert_int_equal(held_tree_open(snapshots.snapshotter, "/", &tree, NULL), ERROR_UNIMPLEMENTED);
    assert_int_equal(held_tree_open(snapshots.snapshotter, mount.source, &tree, NULL), 0);
    assert_string_equal(tree.record.key, "image");
    assert_int_equal(faccessat(tree.fd, "file", F_OK, 0), 0);
    assert_int_equal(remove_it("view", &error), 0);
    assert_int_equal(remove_it("image", &error), ERROR_PRECONDITION);
    held_tree_clear(&tree);
    held_tree_clear(&tree);
    assert_int_equal(remove_it("image", &error), 0);
}

static void a_clone_knows_its_origin_and_when_it_was_made(void **state)
{
    (void) state;
    struct timestamp cloned;
    owned(held_tree_clear) struct held_tree image = HELD_TREE_NULL;
    owned(held_tree_clear) struct held_tree child = HELD_TREE_NULL;
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    make_image("image");
    assert_int_equal(view("view", "image", &mount), 0);
    assert_int_equal(prepare("child", "image", NULL), 0);
    owned(mem_free) char *source = source_of("child");
    assert_int_equal(held_tree_open(snapshots.snapshotter, mount.source, &image, NULL), 0);
    assert_int_equal(held_tree_open(snapshots.snapshotter, source, &child, NULL), 0);
    assert_true(held_tree_is_clone_of(&child, &image, &cloned));
    assert_memory_equal(&cloned, &child.record.cloned, sizeof cloned);
    assert_false(held_tree_is_clone_of(&image, &child, &cloned));
    assert_false(held_tree_is_clone_of(&image, &image, &cloned));
    child.record.clone_epoch += 2; /* the clock was set */
    assert_false(held_tree_is_clone_of(&child, &image, &cloned));
}

static size_t count_unflushed(void)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    owned(mem_free) struct store_unflushed *list = NULL;
    size_t count = 0;
    assert_int_equal(store_read_begin(snapshots.store, &txn, NULL), 0);
    assert_int_equal(store_tree_list_unflushed(&txn, &list, &count, NULL), 0);
    return count;
}

static void await_flushed(void)
{
    for (int i = 0; i < 500 && count_unflushed() > 0; i++)
        (void) usleep(10000);
    assert_int_equal(count_unflushed(), 0);
}

static void flush_soon(void)
{
    close_all();
    snapshots.options.flush_delay_ms = 200;
    open_all();
}

static void nobody_flushes_a_tree_that_is_being_filled(void **state)
{
    (void) state;
    struct snapshot_unpacking *unpacking = NULL;
    flush_soon();
    assert_int_equal(prepare("active", "", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    assert_int_equal(begin(source, &unpacking, NULL), 0);
    (void) usleep(800000);
    assert_int_equal(count_unflushed(), 1);
    snapshot_unpacking_clear(&unpacking);
    await_flushed();
    /* For others it is done nevertheless. */
    assert_int_equal(prepare("another", "", NULL), 0);
    owned(mem_free) char *other = source_of("another");
    assert_int_equal(begin(other, &unpacking, NULL), 0);
    assert_int_equal(prepare("third", "", NULL), 0);
    await_flushed();
    snapshot_unpacking_clear(&unpacking);
}

static void a_layer_that_was_not_flushed_is_noted_again(void **state)
{
    (void) state;
    struct snapshot_unpacking *unpacking = NULL;
    flush_soon();
    assert_int_equal(prepare("active", "", NULL), 0);
    await_flushed();
    owned(mem_free) char *source = source_of("active");
    assert_int_equal(begin(source, &unpacking, NULL), 0);
    snapshot_unpacking_clear(&unpacking);
    assert_int_equal(count_unflushed(), 1);
}

static void a_layer_says_nothing_of_another_tree_with_its_key(void **state)
{
    static const char key[] = "default/1/extract-1-x sha256:y";
    (void) state;
    struct snapshot_unpacking *unpacking = NULL;
    assert_int_equal(prepare(key, "", NULL), 0);
    owned(mem_free) char *source = source_of(key);
    assert_int_equal(begin(source, &unpacking, NULL), 0);
    assert_int_equal(remove_it(key, NULL), 0);
    assert_int_equal(prepare(key, "", NULL), 0);
    (void) snapshot_unpacking_finish(unpacking, &durable, NULL);
    snapshot_unpacking_clear(&unpacking);
    assert_int_equal(commit(key, "image", "", NULL), 0);
    assert_int_equal(count_unflushed(), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_layer_goes_into_active_snapshots_alone, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_commit_waits_for_no_layer_but_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_removal_stops_the_layer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_callers_cancel_stops_the_layer, set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_was_unpacked_and_flushed_need_not_be_flushed_again,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(what_others_may_have_written_must_be_flushed, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_second_layer_that_was_not_flushed_must_be, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_held_tree_is_not_removed, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clone_knows_its_origin_and_when_it_was_made, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(nobody_flushes_a_tree_that_is_being_filled, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_layer_that_was_not_flushed_is_noted_again, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_layer_says_nothing_of_another_tree_with_its_key, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
