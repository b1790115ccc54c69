/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "diff/path_set.h"
#include "tree/path_list.h"

/* Notes what an unpacking changes, by paths without links, for tree/layer.h. */
struct touched {
    struct path_list *list; /* NULL: nobody wants to know */
    char *last_dir;         /* noted last */
    struct path_set linked; /* inodes that got names */
    bool lost;              /* more than a list can hold, or tell: it says nothing */
};

/* For owned(); the list stays its owner's. */
void touched_clear(struct touched *touched);

/* Something called name was made, changed or, with removed, removed in the directory dir, which has
 * other times now. */
void touched_note(struct touched *touched, const char *dir, const char *name, bool removed);

/* An inode is to get another name, and with that attributes; it has so many names. Those that it
 * had before the unpacking are in no list, and there may be no other way to find them later. */
void touched_link(struct touched *touched, uint64_t inode, uint64_t names);
