/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/snapshotter_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"

struct snapshotter_fixture snapshots;

void open_all(void)
{
    struct error error = {0};
    struct store_options options = {.boot_id = snapshots.boot_id};
    if (store_root_open(snapshots.scratch.path, &snapshots.root, &error) != 0 ||
        store_open(snapshots.root.fd, store_root_is_empty(&snapshots.root), &options,
                   &snapshots.store, &error) != 0 ||
        trash_open(snapshots.root.trash_fd, &snapshots.trash, &error) != 0 ||
        snapshotter_open(snapshots.store, &snapshots.root, snapshots.trash, &snapshots.options,
                         &snapshots.snapshotter, &error) != 0)
        fail_msg("%s", error.message);
}

void close_snapshotter(void)
{
    assert_true(snapshotter_close(snapshots.snapshotter, 10000));
    trash_close(snapshots.trash);
}

void close_all(void)
{
    close_snapshotter();
    store_close(snapshots.store);
    store_root_close(&snapshots.root);
}

int set_up(void **state)
{
    (void) state;
    memset(&snapshots, 0, sizeof snapshots);
    scratch_make(&snapshots.scratch);
    snapshots.boot_id = "first";
    snapshots.options.flush_delay_ms = 3600 * 1000;
    open_all();
    return 0;
}

int tear_down(void **state)
{
    (void) state;
    close_all();
    scratch_remove(&snapshots.scratch);
    return 0;
}

const struct labels no_labels = {0};

int prepare(const char *key, const char *parent, struct error *error)
{
    struct snapshot_request request = {"one", key, parent, &no_labels};
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    return snapshot_prepare(snapshots.snapshotter, &request, NULL, &mount, error);
}

int view(const char *key, const char *parent, struct snapshot_mount *out_mount)
{
    struct snapshot_request request = {"one", key, parent, &no_labels};
    return snapshot_view(snapshots.snapshotter, &request, NULL, out_mount, NULL);
}

int commit(const char *key, const char *name, const char *parent, struct error *error)
{
    struct snapshot_request request = {"one", name, parent, &no_labels};
    return snapshot_commit(snapshots.snapshotter, &request, key, error);
}

int remove_it(const char *key, struct error *error)
{
    return snapshot_remove(snapshots.snapshotter, "one", key, error);
}

char *source_of(const char *key)
{
    struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    assert_int_equal(snapshot_mounts(snapshots.snapshotter, "one", key, NULL, &mount, NULL), 0);
    return mount.source;
}

void write_file(const char *folder, const char *name, size_t size)
{
    owned(mem_free) char *path = mem_printf("%s/%s", folder, name);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (size_t i = 0; i < size; i++)
        assert_int_equal(fputc('x', file), 'x');
    assert_int_equal(fclose(file), 0);
}

void make_image(const char *name)
{
    assert_int_equal(prepare("active", "", NULL), 0);
    owned(mem_free) char *source = source_of("active");
    write_file(source, "file", 10000);
    assert_int_equal(commit("active", name, "", NULL), 0);
}
