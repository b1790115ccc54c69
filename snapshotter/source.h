/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/snapshotter.h"

/*
 * From a mount back to what it shows: the differ is told its targets as mounts, whose source is the
 * path of a tree of ours.
 */

/* The snapshot that owns the tree at the source: 1 and its record (the caller clears it), 0 if the
 * source is no tree of ours; negative on errors. */
int snapshot_find_by_source(struct snapshotter *snapshotter, const char *source,
                            struct snapshot_record *out_record, struct error *error);

/* True for a path below our folder of trees, whether something is there or not. */
bool snapshot_is_source(const struct snapshotter *snapshotter, const char *source);

/* Opens the root directory of a tree: the descriptor, or an error code. */
int snapshot_open_tree(struct snapshotter *snapshotter, uint64_t tree, struct error *error);
