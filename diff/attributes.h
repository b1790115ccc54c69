/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "diff/archive.h"

/* Where an entry was made: an open file or directory, or a name. */
struct attributes_target {
    int fd; /* or -1 */
    int dirfd;
    const char *name;
};

/*
 * Gives what was made the owner, the extended attributes, the mode and the times of the item, in
 * this order (contract 7.4, rules 10 to 13), and leaves out what is so already. A symlink is never
 * followed. Attributes that the file system cannot hold, and those that xattr_restore leaves out,
 * are left out, which is logged once. ERROR_INVALID, ERROR_NO_SPACE, ERROR_IO.
 */
int attributes_set(const struct attributes_target *target, const struct archive_item *item,
                   struct error *error);
