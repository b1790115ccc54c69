/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/cancel.h"
#include "base/error.h"
#include "tree/path_list.h"

/*
 * The fix-up list of a tree: what a clone of whole directories by one call (clonefile(2)) does not
 * bring along, so that a clone is repaired without looking at each of its files. It has each
 * directory, whose times the call changes, and those files of which the call loses something. It is
 * small beside the tree: its path and some 30 bytes for a directory.
 *
 * A list describes a tree that does not change any more. A directory has in entries how many are
 * its own, whatever they are, and in bytes the sizes of its own files; names of one file are a
 * group.
 */
enum {
    FIXUP_DIRECTORY = 1,
    FIXUP_LINK = 2,       /* it has several names, each of which becomes a file of its own */
    FIXUP_ATTRIBUTES = 4, /* set-id bits, or an ACL */
    FIXUP_ACL = 8,        /* it has one */
    FIXUP_SPECIAL = 16,   /* FIFO, socket, device: the call refuses a directory that has one */
    FIXUP_LOCKED = 32     /* of one of the others: immutable or append-only */
};

/* The directory of this path, and *out_end behind the last item below it; false if there is none.
 */
bool fixups_find(const struct path_list *list, const char *path, size_t *out_begin,
                 size_t *out_end);

/* What the items from begin up to end have: all FIXUP_... bits, the sums of the figures. */
struct path_item fixups_sum(const struct path_list *list, size_t begin, size_t end);

/* Makes the list of the tree name in dirfd, which may not change meanwhile. 0; 1 for a tree that
 * needs too long a list; ERROR_CANCELLED, ERROR_PRECONDITION for a mount in it, ERROR_IO. */
int fixups_scan(struct path_list *out_list, int dirfd, const char *name,
                const struct cancel *cancel, struct error *error);

/* path_list_save and path_list_load of such a list; a list that cannot be loaded is made anew. */
int fixups_save(const struct path_list *list, int dirfd, const char *name, struct error *error);
bool fixups_load(struct path_list *out_list, int dirfd, const char *name);
