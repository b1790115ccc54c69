/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/internal.h"

/*
 * Where the tree of a new snapshot comes from: a clone of its parent's, or, if that has none, of
 * the nearest tree below, with the layers in between put onto it.
 */

/* True if the tree of a committed snapshot can be made anew from its layer and what is below. */
bool snapshot_is_rebuildable(const struct snapshot_record *record);

/*
 * Makes fs in the folder dirfd equal to the tree of the committed snapshot parent, which is held by
 * the caller (pins.h). As tree_clone otherwise, and ERROR_PRECONDITION if something that the tree
 * would be made of is missing or damaged.
 */
int snapshot_build(struct snapshotter *snapshotter, const struct snapshot_record *parent, int dirfd,
                   const struct tree_clone_options *options, struct tree_clone_result *out_result,
                   struct error *error);

/* The same for who holds nothing, so that nobody has to wait for it. What was made is good if
 * afterwards snapshot_find_origin answers *out_origin again. */
int snapshot_build_unheld(struct snapshotter *snapshotter, const struct snapshot_record *parent,
                          int dirfd, const struct tree_clone_options *options,
                          struct tree_clone_result *out_result, uint64_t *out_origin,
                          struct error *error);

/* The id of the tree that one for this committed snapshot would be made of: its own, or the nearest
 * below. Errors as snapshot_build. */
int snapshot_find_origin(struct store_txn *txn, const struct snapshot_record *parent,
                         uint64_t *out_origin, struct error *error);
