/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/internal.h"

/* Drops the tree that can be made again (build.h) and was not used for the longest time, unless it
 * is in use or a mount may show it. False if there is none. Takes as long as there are snapshots.
 */
bool cached_trees_drop_one(struct snapshotter *snapshotter);

/* The same if the volume is as good as full. */
void cached_trees_make_room(struct snapshotter *snapshotter);
