/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/* The extended attributes of one inode that a layer carries (diff/xattr_filter.h), by name in byte
 * order. */
struct xattr_value {
    char *name; /* the set's, as value */
    char *value;
    size_t size;
};

struct xattr_set {
    struct xattr_value *values;
    size_t count;
};

#define XATTR_SET_NULL ((struct xattr_set){0})

/* Reads those of the entry of dirfd, of a symlink itself, into the empty set; "" is the directory.
 * A file system without attributes has none. ERROR_PRECONDITION for more than 1 MiB of them, which
 * no reader of archives takes. */
int xattr_set_read(struct xattr_set *set, int dirfd, const char *entry, struct error *error);

bool xattr_set_equal(const struct xattr_set *a, const struct xattr_set *b);

/* For owned(); repeatable. */
void xattr_set_clear(struct xattr_set *set);
