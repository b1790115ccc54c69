/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tree/clone.h"
#include "tree/layer.h"

/* For layer_*.c alone. */

/*
 * A layer's folder has three entries. The manifest's items say by their bytes where their entry is:
 * a directory with LAYER_PLAIN has a place in the file folders, with its attributes (one without
 * has one, too, with nothing in it); anything else is a file, or directory, of its own in fs, of
 * which layer_entry_name is the path. A file with several names is there once, for the first.
 */
extern const char layer_entries_name[]; /* fs */
extern const char layer_manifest_name[];
extern const char layer_magic[];

/* With those of layer.h. */
enum { LAYER_PLAIN = 8 };

/* Where to keep the entry of the item in this place of a manifest with count items: in one of so
 * many directories of fs, named 0 and so on, since one thread at a time can change one. */
uint64_t layer_entry_place(size_t place, size_t count);
size_t layer_entry_dirs(size_t count);

enum { LAYER_ENTRY_NAME_SIZE = 24 };
const char *layer_entry_name(const struct path_item *item, char name[LAYER_ENTRY_NAME_SIZE]);

/* Clones anything but a directory, flags included. ERROR_CORRUPT if it is not there. */
int layer_clone_entry(struct clone *clone, int source_dirfd, const char *source_name, int dirfd,
                      const char *name, struct error *error);

/* After errno of what should be there: ERROR_CORRUPT, or what else happened. */
int layer_missing(struct error *error);

/* What plain directories have. */
struct folder_attributes {
    uint32_t mode;
    uint32_t uid;
    uint32_t gid;
    uint32_t atime_nanos;
    uint32_t mtime_nanos;
    uint32_t unused;
    int64_t atime;
    int64_t mtime;
};

struct layer_folders {
    struct folder_attributes *items;
    size_t count;
};

void layer_folders_clear(struct layer_folders *folders);
void layer_folders_set(struct layer_folders *folders, size_t place, const struct os_stat *stat);
void layer_folders_get(const struct layer_folders *folders, size_t place, struct os_stat *out_stat);
int layer_folders_save(const struct layer_folders *folders, int layer_dirfd, struct error *error);
int layer_folders_load(struct layer_folders *out_folders, int layer_dirfd, struct error *error);

/* Reads what a layer says. ERROR_CORRUPT if it is not whole, ERROR_IO. */
int layer_load(int layer_dirfd, struct path_list *out_list, struct layer_folders *out_folders,
               struct error *error);

/* Makes the entries of all items of the manifest in the layer's folder, from the tree. The items
 * get their places. */
int layer_keep(int tree_fd, int layer_dirfd, struct path_list *list,
               const struct layer_options *options, struct error *error);

/* A layer whose entries are wanted. */
struct layer_source {
    int fd; /* fs */
    struct layer_folders folders;
};

/* Makes all entries of the list in the tree, where directories are there already (clone_ready_dir)
 * and nothing else is. An item's entries is the place of its source. The flags of the root are left
 * out. ERROR_CORRUPT if a source lacks an entry. */
int layer_copy(const struct path_list *list, const struct layer_source *sources, int tree_fd,
               const struct layer_options *options, struct error *error);

/* The lists of several layers as one: for each path what the topmost of them says. An item's
 * entries is the place of the layer that has it, whose folders are in sources. *inout_count becomes
 * smaller, but not 0, if one list cannot hold them all: then it is that of so many, the lowest. */
int layer_merge(const int *layer_dirfds, size_t *inout_count, struct layer_source *sources,
                struct path_list *out_list, struct error *error);
