/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/clock.h"
#include "base/error.h"
#include "snapshotter/snapshotter.h"

/* A tree that is being read, found by the source of a mount. Its snapshot is not removed meanwhile.
 */
struct held_tree {
    struct snapshotter *snapshotter; /* NULL when nothing is held */
    struct snapshot_record record;   /* of the snapshot that owns it */
    int fd;                          /* its root directory */
};

#define HELD_TREE_NULL ((struct held_tree){.fd = -1})

/* ERROR_UNIMPLEMENTED if the source is not the tree of a snapshot of ours, which somebody else may
 * know; ERROR_PRECONDITION if it is damaged. Release with held_tree_clear. */
int held_tree_open(struct snapshotter *snapshotter, const char *source, struct held_tree *out_tree,
                   struct error *error);

/* For owned(); repeatable. */
void held_tree_clear(struct held_tree *tree);

/* True if child began as a clone of origin, which was complete at *out_cloned of the volume's own
 * clock, and that clock was not set since. */
bool held_tree_is_clone_of(const struct held_tree *child, const struct held_tree *origin,
                           struct timestamp *out_cloned);
