/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tree/clone.h"
#include "tree/layer.h"

/* For layer_*.c alone. */

extern const char layer_files_name[];    /* of the sparse tree in a layer's folder */
extern const char layer_manifest_name[]; /* and of the manifest */
extern const char layer_magic[];

/* Entries on their way from one tree to another. */
struct layer_copy {
    const struct path_list *list; /* sorted, groups numbered; entries is the place of the source */
    const int *source_fds;        /* roots */
    int target_fd;
    struct clone clone;
    const struct layer_options *options;
};

/* Makes all entries of the list in the target, where directories are there already
 * (clone_ready_dir) and nothing else is. The flags of the root are left out. ERROR_CORRUPT if a
 * source lacks an entry.
 */
int layer_copy_run(struct layer_copy *copy, struct error *error);

/* The lists of several layers as one: for each path what the topmost of them says. An item's
 * entries is the place of the layer that has it. *inout_count becomes smaller, but not 0, if one
 * list cannot hold them all: then it is that of so many, the lowest. */
int layer_merge(const int *layer_dirfds, size_t *inout_count, struct path_list *out_list,
                struct error *error);
