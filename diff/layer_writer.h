/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "diff/pair_walk.h"
#include "diff/tar_writer.h"
#include "diff/xattr_set.h"
#include "tree/os.h"

/*
 * Writes entries of the right tree into the archive. Before any of them its directories are
 * written that were not yet, from the top, never the root. walk_dir.marked says of a directory
 * that it was. The paths of failures are part of the messages.
 */
struct layer_writer {
    struct tar_writer tar;
    struct pair_walk *walk; /* must outlive the writer */
    const struct cancel *cancel;
    bool has_epoch;
    int64_t epoch_seconds; /* no time is later */
    uint64_t entries;
    uint64_t files_read;
};

/* What of an inode goes into its headers. */
struct layer_inode {
    struct os_stat stat;
    struct xattr_set xattrs;
};

/* For owned(); repeatable. */
void layer_inode_clear(struct layer_inode *inode);

/* Writes dir and all above it that were not written yet. */
int layer_writer_dirs(struct layer_writer *writer, struct walk_dir *dir, struct error *error);

/* Writes the entry name of dir, which is neither a directory nor a socket, and its data; dir is in
 * use. read: its data was read before, which is counted then. ERROR_PRECONDITION if it changes. */
int layer_writer_entry(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                       const struct layer_inode *inode, bool *read, struct error *error);

/* Writes the entry name of dir as a hard link to the path, which was written. */
int layer_writer_link(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                      const struct layer_inode *inode, const char *target, struct error *error);

/* Says that the left tree's entry name of dir is not there any more. */
int layer_writer_whiteout(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                          struct error *error);
