/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "tree/path_list.h"

/*
 * A layer: the difference between a tree and the one that it began as, in a folder of its own: "fs"
 * has clones of what was made or changed, "folders" the attributes of plain directories, and
 * "manifest" tells the net state of each path and where its entry is (docs/FORMAT.md). What is put
 * onto a clone of the earlier tree gives the later one, by invariant 7 of clones. A layer never
 * changes.
 *
 * The bits of an item in the manifest. A directory that is no item has not changed.
 */
enum {
    LAYER_ENTRY = 1,    /* there is something: made, or changed */
    LAYER_REMOVED = 2,  /* what was there before goes first, with all below it */
    LAYER_DIRECTORY = 4 /* of an entry: a directory, which keeps what is in it */
};

struct layer_options {
    unsigned threads;            /* as in tree_clone_options */
    const struct cancel *cancel; /* may be NULL */
};

struct layer_size {
    uint64_t bytes; /* as tree_usage, of what changed since the time given */
    uint64_t inodes;
};

/*
 * Makes the layer in the empty folder layer_dirfd from the tree, of which changes lists all paths
 * that were made, removed (LAYER_REMOVED) or changed, in any order and any number of times; other
 * names of a file that changed are among them. The list becomes the manifest. The tree may not
 * change meanwhile. Nothing is flushed. since is the tree's clone time (tree_clone_result.time),
 * for the size alone. 0; 1 for what no layer can tell, and nothing needs to: then the folder is of
 * no use. ERROR_CANCELLED, ERROR_NO_SPACE, ERROR_IO.
 */
int layer_capture(int tree_fd, int layer_dirfd, struct path_list *changes,
                  const struct timestamp *since, const struct layer_options *options,
                  struct layer_size *out_size, struct error *error);

/*
 * Puts layers, given by their folders, the lowest first, onto the tree, a clone of the tree below
 * the lowest: in one pass, so that what a later layer has again is made once, or in several if they
 * have more entries than a list can hold. Answers as tree_clone_result when that was done.
 * ERROR_CORRUPT for a manifest or folders that are missing or damaged, or a layer that does not fit
 * the tree; else as layer_capture.
 */
int layers_put(const int *layer_dirfds, size_t count, int tree_fd,
               const struct layer_options *options, struct timestamp *out_time,
               struct error *error);
