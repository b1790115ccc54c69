/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "snapshotter/internal.h"
#include "tests/unit/scratch.h"

/* One store that a test may close and open again, as another boot if it wants. */
struct snapshotter_fixture {
    struct scratch scratch;
    struct store_root root;
    struct store *store;
    struct trash *trash;
    struct snapshotter *snapshotter;
    const char *boot_id;
    struct snapshotter_options options;
};

extern struct snapshotter_fixture snapshots;

/* Of cmocka. */
int set_up(void **state);
int tear_down(void **state);

void open_all(void);
void close_all(void);
void close_snapshotter(void);

/* Calls of the snapshotter name "one", without labels. */
extern const struct labels no_labels;
int prepare(const char *key, const char *parent, struct error *error);
int view(const char *key, const char *parent, struct snapshot_mount *out_mount);
int commit(const char *key, const char *name, const char *parent, struct error *error);
int remove_it(const char *key, struct error *error);

/* The mount's source of an active snapshot or view; free it with mem_free. */
char *source_of(const char *key);
void write_file(const char *folder, const char *name, size_t size);

/* A committed snapshot with one file. */
void make_image(const char *name);
