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
#include "base/mem.h"
#include "store/trees.h"
#include "tests/unit/snapshotter_fixture.h"

static void the_parent_decides_the_error(void **state)
{
    (void) state;
    struct error error = {0};
    assert_int_equal(prepare("a", "nobody", &error), ERROR_NOT_FOUND);
    assert_int_equal(prepare("a", "", NULL), 0);
    assert_int_equal(prepare("b", "a", &error), ERROR_INVALID);
    assert_int_equal(prepare("a", "", &error), ERROR_EXISTS);
    assert_non_null(strstr(error.message, "--forget-snapshotter one"));
}

static void a_child_cannot_reach_its_parents_data(void **state)
{
    (void) state;
    make_image("image");
    assert_int_equal(prepare("child", "image", NULL), 0);
    owned(mem_free) char *child = source_of("child");
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(view("view", "image", &mount), 0);
    assert_true(mount.read_only);
    write_file(child, "file", 3);
    write_file(child, "other", 3);
    owned(mem_free) char *file = mem_printf("%s/file", mount.source);
    owned(mem_free) char *other = mem_printf("%s/other", mount.source);
    struct stat status;
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_size, 10000);
    assert_int_equal(stat(other, &status), -1);
    snapshot_mount_clear(&mount);
}

static void a_private_view_is_writable_and_apart(void **state)
{
    (void) state;
    close_all();
    snapshots.options.view = SNAPSHOT_VIEW_PRIVATE_CLONE;
    open_all();
    make_image("image");
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(view("view", "image", &mount), 0);
    assert_false(mount.read_only);
    write_file(mount.source, "file", 1);
    assert_int_equal(prepare("child", "image", NULL), 0);
    owned(mem_free) char *child = source_of("child");
    owned(mem_free) char *file = mem_printf("%s/file", child);
    struct stat status;
    assert_int_equal(stat(file, &status), 0);
    assert_int_equal(status.st_size, 10000);
    snapshot_mount_clear(&mount);
}

static void commit_checks_in_the_order_of_the_contract(void **state)
{
    (void) state;
    struct error error = {0};
    make_image("image");
    assert_int_equal(prepare("a", "image", NULL), 0);
    assert_int_equal(commit("nobody", "image", "", &error), ERROR_EXISTS);
    assert_int_equal(commit("nobody", "new", "", &error), ERROR_NOT_FOUND);
    assert_int_equal(commit("image", "new", "", &error), ERROR_PRECONDITION);
    assert_int_equal(commit("a", "new", "other", &error), ERROR_INVALID);
    assert_int_equal(prepare("base", "", NULL), 0);
    assert_int_equal(commit("base", "new", "image", &error), ERROR_UNIMPLEMENTED);
    assert_int_equal(commit("a", "new", "image", &error), 0);
    assert_int_equal(commit("a", "newer", "", &error), ERROR_NOT_FOUND);
}

/* AlreadyExists would be taken for success by containerd's unpackers. */
static void a_numbered_name_that_is_taken_tells_the_remedy(void **state)
{
    (void) state;
    struct error error = {0};
    make_image("default/2/sha256:aa");
    assert_int_equal(prepare("default/1/extract-1 sha256:aa", "", NULL), 0);
    assert_int_equal(commit("default/1/extract-1 sha256:aa", "default/2/sha256:aa", "", &error),
                     ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "--forget-snapshotter one"));
    make_image("default/x/name");
    assert_int_equal(commit("default/1/extract-1 sha256:aa", "default/x/name", "", &error),
                     ERROR_EXISTS);
}

/* AlreadyExists would be taken for "the layer is here", and end as NotFound. */
static void a_taken_key_is_no_answer_to_a_request_for_a_layer(void **state)
{
    (void) state;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    labels_set(&labels, "containerd.io/snapshot.ref", "sha256:aa");
    struct snapshot_request request = {"one", "taken", "", &labels};
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    struct error error = {0};
    make_image("taken");
    assert_int_equal(snapshot_prepare(snapshots.snapshotter, &request, NULL, &mount, &error),
                     ERROR_PRECONDITION);
    assert_int_equal(error.code, ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "--forget-snapshotter one"));
    assert_int_equal(snapshot_view(snapshots.snapshotter, &request, NULL, &mount, &error),
                     ERROR_PRECONDITION);
    request.parent = "nobody";
    assert_int_equal(snapshot_prepare(snapshots.snapshotter, &request, NULL, &mount, &error),
                     ERROR_NOT_FOUND);
    request = (struct snapshot_request){"one", "held", "", &labels};
    assert_int_equal(pins_reserve(snapshots.snapshotter->pins, "one", "held", NULL), 0);
    assert_int_equal(snapshot_prepare(snapshots.snapshotter, &request, NULL, &mount, &error),
                     ERROR_PRECONDITION);
    pins_release(snapshots.snapshotter->pins, "one", "held");
    assert_int_equal(snapshot_prepare(snapshots.snapshotter, &request, NULL, &mount, &error), 0);
    snapshot_mount_clear(&mount);
}

/* Where data is copied, a few big files are long work, however few they are. */
static void big_files_are_long_work_where_clones_are_copies(void **state)
{
    (void) state;
    make_image("small");
    assert_int_equal(prepare("active", "small", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    owned(mem_free) char *file = mem_printf("%s/file", source);
    assert_int_equal(truncate(file, (off_t) 1 << 30), 0);
    assert_int_equal(commit("active", "big", "", NULL), 0);
    assert_true(snapshot_prepare_is_small(snapshots.snapshotter, "one", "small"));
    assert_false(snapshot_prepare_is_small(snapshots.snapshotter, "one", "big"));
    close_all();
    snapshots.options.clones_share_data = true;
    open_all();
    assert_true(snapshot_prepare_is_small(snapshots.snapshotter, "one", "big"));
}

static void remove_refuses_while_there_are_children(void **state)
{
    (void) state;
    struct error error = {0};
    make_image("image");
    assert_int_equal(prepare("child", "image", NULL), 0);
    assert_int_equal(remove_it("image", &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "remove"));
    assert_int_equal(remove_it("child", &error), 0);
    assert_int_equal(remove_it("child", &error), ERROR_NOT_FOUND);
    assert_int_equal(remove_it("image", &error), 0);
    assert_int_equal(prepare("image", "", NULL), 0);
}

static void remove_refuses_while_the_snapshot_is_being_cloned(void **state)
{
    (void) state;
    struct error error = {0};
    make_image("image");
    pins_hold(snapshots.snapshotter->pins, "one", "image");
    assert_int_equal(remove_it("image", &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "cannot remove"));
    pins_unhold(snapshots.snapshotter->pins, "one", "image");
    assert_int_equal(remove_it("image", &error), 0);
}

static void a_cancelled_prepare_leaves_nothing(void **state)
{
    (void) state;
    make_image("image");
    struct cancel cancel = {0};
    cancel_request(&cancel);
    struct snapshot_request request = {"one", "child", "image", &no_labels};
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(snapshot_prepare(snapshots.snapshotter, &request, &cancel, &mount, NULL),
                     ERROR_CANCELLED);
    assert_int_equal(prepare("child", "image", NULL), 0);
}

static struct snapshot_usage usage_of(const char *key)
{
    struct snapshot_usage usage = {0};
    assert_int_equal(snapshot_usage_measure(snapshots.snapshotter, "one", key, NULL, &usage, NULL),
                     0);
    return usage;
}

static void usage_counts_what_a_snapshot_adds(void **state)
{
    (void) state;
    make_image("image");
    struct snapshot_usage image = usage_of("image");
    assert_in_range(image.bytes, 10000, 100000);
    assert_int_equal(image.inodes, 2);
    usleep(20000); /* the volume's clock is coarser than ours */
    assert_int_equal(prepare("child", "image", NULL), 0);
    owned(mem_free) char *child = source_of("child");
    usleep(20000);
    write_file(child, "new", 5000);
    assert_int_equal(commit("child", "layer", "", NULL), 0);
    struct snapshot_usage layer = usage_of("layer");
    assert_in_range(layer.bytes, 5000, image.bytes - 4096); /* not the file of the parent */
    assert_int_equal(layer.inodes, 2);
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(view("view", "layer", &mount), 0);
    snapshot_mount_clear(&mount);
    assert_int_equal(usage_of("view").bytes, 0);
    assert_int_equal(usage_of("view").inodes, 0);
}

static struct snapshot_record record_of(const char *key)
{
    struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    assert_int_equal(snapshot_stat(snapshots.snapshotter, "one", key, &record, NULL), 0);
    return record;
}

/* Ids of trees never come again, so that nobody would ever drop such a figure. */
static void no_figure_is_kept_of_what_ended_during_the_walk(void **state)
{
    (void) state;
    struct snapshot_usage usage = {0};
    struct usage_cache *cache = snapshots.snapshotter->usage;
    assert_int_equal(prepare("removed", "", NULL), 0);
    assert_int_equal(prepare("committed", "", NULL), 0);
    owned(snapshot_record_clear) struct snapshot_record removed = record_of("removed");
    owned(snapshot_record_clear) struct snapshot_record committed = record_of("committed");
    snapshot_usage_keep(snapshots.snapshotter, &removed, usage, 0);
    snapshot_usage_keep(snapshots.snapshotter, &committed, usage, 0);
    assert_true(usage_cache_get(cache, removed.tree, &usage));
    assert_true(usage_cache_get(cache, committed.tree, &usage));

    assert_int_equal(remove_it("removed", NULL), 0);
    assert_int_equal(commit("committed", "image", "", NULL), 0);
    assert_false(usage_cache_get(cache, removed.tree, &usage));
    assert_false(usage_cache_get(cache, committed.tree, &usage));
    snapshot_usage_keep(snapshots.snapshotter, &removed, usage, 0);
    snapshot_usage_keep(snapshots.snapshotter, &committed, usage, 0);
    assert_false(usage_cache_get(cache, removed.tree, &usage));
    assert_false(usage_cache_get(cache, committed.tree, &usage));

    assert_int_equal(prepare("removed", "", NULL), 0); /* another snapshot of that key */
    snapshot_usage_keep(snapshots.snapshotter, &removed, usage, 0);
    assert_false(usage_cache_get(cache, removed.tree, &usage));
}

/* Looks at one snapshot of a list of two; name is empty for none. */
static int next_of(struct store_position *position, const char *filter,
                   const struct patience *patience, char name[32])
{
    owned(filter_list_clear) struct filter_list *filters = NULL;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    assert_int_equal(filter_list_parse((char *[]){(char *) filter}, 1, &filters, NULL), 0);
    assert_int_equal(snapshot_list_begin(snapshots.snapshotter, &txn, NULL), 0);
    int answer = snapshot_list_next(&txn, "one", filters, patience, position, &record, NULL);
    (void) snprintf(name, 32, "%s", record.key ? record.key : "");
    return answer;
}

static void a_list_looks_at_one_record_at_a_time(void **state)
{
    (void) state;
    struct store_position position = {0};
    struct cancel cancel = {0};
    struct patience patience = {.cancel = &cancel};
    char name[32];
    unsigned matches = 0;
    assert_int_equal(prepare("a", "", NULL), 0);
    assert_int_equal(prepare("b", "", NULL), 0);
    patience.until_ms = 1; /* long ago */
    assert_int_equal(next_of(&position, "name~=b", &patience, name), FILTER_AGAIN);
    patience.until_ms = 0;
    for (int i = 0; i < 2; i++) {
        int answer = next_of(&position, "name~=b", &patience, name);
        matches += answer == FILTER_MATCH;
        assert_string_equal(name, answer == FILTER_MATCH ? "b" : "");
    }
    assert_int_equal(matches, 1);
    assert_int_equal(next_of(&position, "name~=b", &patience, name), FILTER_END);

    position = (struct store_position){0};
    cancel_request(&cancel);
    assert_int_equal(next_of(&position, "name~=b", &patience, name), ERROR_CANCELLED);
    assert_string_equal(name, "");
}

static size_t entries_of(int dirfd)
{
    char path[64];
    (void) snprintf(path, sizeof path, "ls -A /proc/%d/fd/%d/ | wc -l", (int) getpid(), dirfd);
    FILE *pipe = popen(path, "r");
    size_t count = 999;
    assert_int_equal(fscanf(pipe, "%zu", &count), 1);
    (void) pclose(pipe);
    return count;
}

static void what_no_record_names_is_swept_at_start(void **state)
{
    (void) state;
    make_image("image");
    assert_int_equal(mkdirat(snapshots.root.trees_fd, "777777", 0700), 0);
    assert_int_equal(mkdirat(snapshots.root.trees_fd, "not-ours", 0700), 0);
    close_all();
    open_all();
    assert_int_equal(entries_of(snapshots.root.trees_fd), 2);
    for (int i = 0; i < 100 && entries_of(snapshots.root.trash_fd) > 0; i++)
        usleep(20000);
    assert_int_equal(entries_of(snapshots.root.trash_fd), 0);
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(view("view", "image", &mount), 0);
    snapshot_mount_clear(&mount);
}

static void a_missing_tree_is_said_and_not_served(void **state)
{
    (void) state;
    make_image("image");
    struct snapshot_record record = record_of("image");
    char name[ID_NAME_SIZE];
    id_name(record.tree, name);
    snapshot_record_clear(&record);
    close_all();
    owned(mem_free) char *command = mem_printf("rm -r %s/trees/%s", snapshots.scratch.path, name);
    assert_int_equal(system(command), 0);
    open_all();
    struct error error = {0};
    assert_int_equal(prepare("child", "image", &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "damaged"));
    assert_int_equal(remove_it("image", NULL), 0);
}

static int note_image(struct store_txn *txn, void *context, struct error *error)
{
    return store_tree_set_unflushed(txn, *(const uint64_t *) context, error);
}

/* As if the machine had gone down before the flush of the commit. */
static void lose_power_after_commit(const char *name)
{
    struct snapshot_record record = record_of(name);
    uint64_t tree = record.tree;
    snapshot_record_clear(&record);
    close_snapshotter();
    assert_int_equal(store_write(snapshots.store, note_image, &tree, NULL), 0);
    store_close(snapshots.store);
    store_root_close(&snapshots.root);
    snapshots.boot_id = "second";
}

static void forget_nobody(void)
{
    uint64_t count = 1;
    struct store_options options = {.boot_id = snapshots.boot_id};
    assert_int_equal(store_root_open(snapshots.scratch.path, &snapshots.root, NULL), 0);
    assert_int_equal(store_open(snapshots.root.fd, false, &options, &snapshots.store, NULL), 0);
    assert_int_equal(snapshotter_forget(snapshots.store, &snapshots.root, "nobody", &count, NULL),
                     ERROR_NOT_FOUND);
    assert_int_equal(count, 0);
    store_close(snapshots.store);
    store_root_close(&snapshots.root);
}

static void what_was_not_flushed_is_damaged_after_a_power_cut(void **state)
{
    (void) state;
    struct error error = {0};
    make_image("flushed");
    make_image("image");
    lose_power_after_commit("image");
    forget_nobody(); /* what opens the store without serving must not use up the news */
    open_all();
    assert_int_equal(prepare("child", "image", &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "was not on disk"));
    assert_int_equal(prepare("child", "flushed", &error), 0);
    assert_int_equal(remove_it("image", &error), 0);
}

static void a_clean_stop_flushes_everything(void **state)
{
    (void) state;
    make_image("image");
    close_all();
    snapshots.boot_id = "second";
    open_all();
    assert_int_equal(prepare("child", "image", NULL), 0);
}

static void a_forgotten_name_is_gone_and_others_stay(void **state)
{
    (void) state;
    make_image("image");
    assert_int_equal(prepare("child", "image", NULL), 0);
    struct snapshot_request request = {"two", "image", "", &no_labels};
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(snapshot_prepare(snapshots.snapshotter, &request, NULL, &mount, NULL), 0);
    snapshot_mount_clear(&mount);
    close_snapshotter();
    uint64_t count = 0;
    struct error error = {0};
    assert_int_equal(snapshotter_forget(snapshots.store, &snapshots.root, "oen", &count, &error),
                     ERROR_NOT_FOUND);
    assert_non_null(strstr(error.message, "of the snapshotter oen"));
    assert_non_null(strstr(error.message, "one"));
    assert_non_null(strstr(error.message, "two"));
    assert_int_equal(snapshotter_forget(snapshots.store, &snapshots.root, "one", &count, NULL), 0);
    assert_int_equal(count, 2);
    assert_int_equal(entries_of(snapshots.root.trees_fd), 1);
    assert_int_equal(entries_of(snapshots.root.trash_fd), 0);
    store_close(snapshots.store);
    store_root_close(&snapshots.root);
    open_all();
    assert_int_equal(prepare("child", "image", NULL), ERROR_NOT_FOUND);
    assert_int_equal(snapshot_remove(snapshots.snapshotter, "two", "image", NULL), 0);
}

static void a_second_daemon_on_the_root_is_refused(void **state)
{
    (void) state;
    struct store_root second = STORE_ROOT_NULL;
    struct error error = {0};
    assert_int_equal(store_root_open(snapshots.scratch.path, &second, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "in use"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_parent_decides_the_error),
        CASE(a_child_cannot_reach_its_parents_data),
        CASE(a_private_view_is_writable_and_apart),
        CASE(commit_checks_in_the_order_of_the_contract),
        CASE(a_numbered_name_that_is_taken_tells_the_remedy),
        CASE(a_taken_key_is_no_answer_to_a_request_for_a_layer),
        CASE(big_files_are_long_work_where_clones_are_copies),
        CASE(remove_refuses_while_there_are_children),
        CASE(remove_refuses_while_the_snapshot_is_being_cloned),
        CASE(a_cancelled_prepare_leaves_nothing),
        CASE(usage_counts_what_a_snapshot_adds),
        CASE(no_figure_is_kept_of_what_ended_during_the_walk),
        CASE(a_list_looks_at_one_record_at_a_time),
        CASE(what_no_record_names_is_swept_at_start),
        CASE(a_missing_tree_is_said_and_not_served),
        CASE(what_was_not_flushed_is_damaged_after_a_power_cut),
        CASE(a_clean_stop_flushes_everything),
        CASE(a_forgotten_name_is_gone_and_others_stay),
        CASE(a_second_daemon_on_the_root_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
