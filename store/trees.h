/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/snapshots.h"
#include "store/store.h"

/*
 * Which tree and which layer belong to which snapshot (kept by store_snapshot_put and _delete), and
 * of which the content is not known to be on disk yet. No tree and layer have the same id.
 */

/* The first tree whose id is at least *inout_tree: 1 and its id, or 0 when there is none. */
int store_tree_next(struct store_txn *txn, uint64_t *inout_tree, struct error *error);

/* The snapshot that owns the tree: 1, or 0. */
int store_tree_owner(struct store_txn *txn, uint64_t tree, struct snapshot_record *out_record,
                     struct error *error);

/* The same of layers. */
int store_layer_next(struct store_txn *txn, uint64_t *inout_layer, struct error *error);
int store_layer_owner(struct store_txn *txn, uint64_t layer, struct snapshot_record *out_record,
                      struct error *error);

/* Notes that the content of the tree, or layer, must be flushed. */
int store_tree_set_unflushed(struct store_txn *txn, uint64_t tree, struct error *error);

/* 1 if that is noted, or 0. */
int store_tree_is_unflushed(struct store_txn *txn, uint64_t tree, struct error *error);

struct store_unflushed {
    uint64_t tree;
    uint64_t generation; /* tells this note from an earlier one */
};

/* All trees and layers to be flushed, in an array that the caller frees. */
int store_tree_list_unflushed(struct store_txn *txn, struct store_unflushed **out_list,
                              size_t *out_count, struct error *error);

/* Takes a note that was listed back unless a newer one has replaced it. */
int store_tree_set_flushed(struct store_txn *txn, const struct store_unflushed *flushed,
                           struct error *error);

/* Takes any note back. */
int store_tree_drop_unflushed(struct store_txn *txn, uint64_t tree, struct error *error);
