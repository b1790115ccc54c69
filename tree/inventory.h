/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "tree/path_list.h"

/*
 * What is in a tree at one time: each path with its inode. By two of them it is found out what was
 * done to a tree in between, whoever did it, for the manifest of a layer (tree/layer.h).
 */
enum {
    INVENTORY_DIRECTORY = 1,
    INVENTORY_CHANGED = 2 /* since the time given, or in that very moment */
};

/*
 * Lists the tree, which may not change meanwhile. since is an earlier time of the volume's clock
 * (tree_mark_time), or NULL. The list is sorted; an item's group is its inode. 0; 1 if no list
 * holds it; ERROR_PRECONDITION if something is mounted there, or is another subvolume;
 * ERROR_CANCELLED, ERROR_IO.
 */
int inventory_take(int tree_fd, const struct timestamp *since, unsigned threads,
                   const struct cancel *cancel, struct path_list *out_list, struct error *error);

/*
 * All that was made, changed or removed between the two, as layer_capture takes it. The later one
 * was taken with the time of the earlier one; the clock may not have been set in between. False if
 * no list holds it.
 */
bool inventory_changes(const struct path_list *before, const struct path_list *now,
                       struct path_list *out_changes);
