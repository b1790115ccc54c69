/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/source.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "snapshotter/internal.h"
#include "store/trees.h"

/* What follows ROOT/trees/, or NULL for any other path. */
static const char *below_trees(const struct snapshotter *snapshotter, const char *source)
{
    static const char folder[] = "/trees/";
    size_t root_length = strlen(snapshotter->root->path);
    if (strncmp(source, snapshotter->root->path, root_length) != 0 ||
        strncmp(source + root_length, folder, sizeof folder - 1) != 0)
        return NULL;
    return source + root_length + sizeof folder - 1;
}

bool snapshot_is_source(const struct snapshotter *snapshotter, const char *source)
{
    return below_trees(snapshotter, source) != NULL;
}

/* The id in ROOT/trees/ID/fs, or 0 for any other path. */
static uint64_t tree_of_source(const struct snapshotter *snapshotter, const char *source)
{
    char name[ID_NAME_SIZE] = "";
    const char *id = below_trees(snapshotter, source);
    if (!id)
        return 0;
    size_t length = strcspn(id, "/");
    if (length >= sizeof name || strcmp(id + length, "/fs") != 0)
        return 0;
    memcpy(name, id, length);
    return fd_name_is_id(name) ? strtoull(name, NULL, 10) : 0;
}

int snapshot_find_by_source(struct snapshotter *snapshotter, const char *source,
                            struct snapshot_record *out_record, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    uint64_t tree = tree_of_source(snapshotter, source);
    if (!tree)
        return 0;
    int rc = store_read_begin(snapshotter->store, &txn, error);
    return rc == 0 ? store_tree_owner(&txn, tree, out_record, error) : rc;
}

int snapshot_open_tree(struct snapshotter *snapshotter, uint64_t tree, struct error *error)
{
    owned(fd_close) int dirfd = snapshotter_open_folder(snapshotter, tree);
    int fd = dirfd < 0 ? -1 : fd_open_dir(dirfd, "fs");
    return fd < 0 ? error_errno(error, "cannot open the tree %llu", (unsigned long long) tree) : fd;
}
