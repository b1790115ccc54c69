/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/id_list.h"
#include "base/lane.h"
#include "snapshotter/flusher.h"
#include "snapshotter/inventories.h"
#include "snapshotter/pins.h"
#include "snapshotter/pool.h"
#include "snapshotter/snapshotter.h"
#include "snapshotter/spare_maker.h"
#include "snapshotter/usage_cache.h"
#include "store/store.h"
#include "tree/fixups.h"
#include "tree/tree.h"

/* For snapshotter/ alone. */

struct snapshotter {
    struct store *store; /* set once, like all below */
    const struct store_root *root;
    struct snapshotter_options options;
    struct pins *pins;
    struct trash *trash;
    struct flusher *flusher;
    struct usage_cache *usage;
    struct lane *background; /* snapshot_after_commit */
    struct inventories *inventories;
    struct pool *pool; /* NULL: no spares */
    struct spare_maker *spare_maker;
    struct cancel stopping;
};

/* A tree of at most so many entries is cloned among the short work: it takes no longer than to find
 * another way. */
#define SMALL_TREE_ENTRIES 256

/* Opens the folder of a tree (-1 and errno on failure), or makes it (an error code). */
int snapshotter_open_folder(const struct snapshotter *snapshotter, uint64_t tree);
int snapshotter_make_folder(const struct snapshotter *snapshotter, uint64_t tree,
                            struct error *error);

/* Moves a tree that nothing names to trash. */
void snapshotter_trash_tree(struct snapshotter *snapshotter, uint64_t tree);

/* The same of a layer. */
void snapshotter_trash_layer(struct snapshotter *snapshotter, uint64_t layer);

/* Room was needed: what can go goes, for the next try. */
void snapshotter_give_way(struct snapshotter *snapshotter);

/* The record of key: 0 and the record, or ERROR_NOT_FOUND. */
int snapshot_find(struct store_txn *txn, const char *name, const char *key,
                  struct snapshot_record *out_record, struct error *error);

/* ERROR_EXISTS, with the remedy in the text, if the key is taken. */
int snapshot_check_free(struct store_txn *txn, const char *name, const char *key,
                        struct error *error);

/* rc, but ERROR_PRECONDITION with the same text instead of ERROR_EXISTS, for where containerd takes
 * AlreadyExists for something else than a refusal. */
int snapshot_exists_as_precondition(int rc, struct error *error);

/* The committed, undamaged parent of a Prepare or View: 0, ERROR_NOT_FOUND, ERROR_INVALID,
 * ERROR_PRECONDITION. */
int snapshot_find_parent(struct store_txn *txn, const char *name, const char *parent,
                         struct snapshot_record *out_parent, struct error *error);

/* True for the key and labels of unpackers, whose differ alone writes into such a snapshot
 * (contract 3.9). */
bool snapshot_is_of_unpacker(const char *key, const struct labels *labels);

/* ERROR_PRECONDITION, with the remedy, for a damaged snapshot that is not committed. */
int snapshot_check_whole(const struct snapshot_record *record, struct error *error);

/* What is mounted for the record: its own tree, or that of its parent; 1 if that has none. */
int snapshot_mount_of(struct snapshotter *snapshotter, struct store_txn *txn,
                      const struct snapshot_record *record, struct snapshot_mount *out_mount,
                      struct error *error);

/* Caches the figure of an active snapshot, unless it is active no more. */
void snapshot_usage_keep(struct snapshotter *snapshotter, const struct snapshot_record *measured,
                         struct snapshot_usage usage, int64_t walk_ms);

/* Measures a committed snapshot that is to be cloned, if the volume does not tell any more then
 * what it has for itself. */
void snapshot_measure_first(struct snapshotter *snapshotter, const struct snapshot_record *record,
                            const struct cancel *cancel);

/* Queues what is left to do for a snapshot that was just committed: its usage, its fix-up list. */
void snapshot_after_commit(struct snapshotter *snapshotter, const char *name, const char *key);

/* Clones the tree in parent_dirfd, of a committed snapshot, into dirfd, by its fix-up list where
 * there is one that fits; options have none. A new list is recorded only if the snapshot is held:
 * else the tree may be another's by then, and be written. As tree_clone otherwise. */
int snapshot_clone_tree(const struct snapshotter *snapshotter, int parent_dirfd, bool held,
                        int dirfd, const struct tree_clone_options *options,
                        struct tree_clone_result *out_result, struct error *error);

/* Records that of a snapshot that was just committed, so that no Prepare has to wait for it. */
void snapshot_record_fixups(struct snapshotter *snapshotter, const char *name, const char *key);

/* The same for a tree that an unpacker has filled, in a thread of its own, so that it costs no time
 * while the disk is flushed. NULL if there is nothing to wait for; cancel outlives it. */
struct fixups_recording *snapshot_begin_fixups(const struct snapshotter *snapshotter, uint64_t tree,
                                               const struct cancel *cancel);

/* Waits for its end; for owned(). */
void snapshot_end_fixups(struct fixups_recording **recording);

/* Forgets the list of a tree that is about to change. */
void snapshot_drop_fixups(const struct snapshotter *snapshotter, uint64_t tree);

/* Moves what no record names to trash and marks records whose tree is missing; counts both. */
int snapshotter_sweep(struct store *store, const struct store_root *root, struct error *error);

/* After a boot that nobody announced: marks what was not flushed as damaged. */
int snapshotter_mark_unflushed(struct store *store, struct error *error);
