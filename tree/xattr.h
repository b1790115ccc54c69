/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * Extended attributes of every namespace, POSIX ACLs and file capabilities among them. Descriptors
 * may be handles (os_open_handle). No locks.
 */

/* The names of the attributes of one inode, each NUL-terminated. */
struct xattr_names {
    size_t length; /* bytes in use; 0 = no attribute */
    char *heap;    /* NULL as long as the names fit into fixed */
    char fixed[256];
};

/* Reads the names; clear them with xattr_names_clear. A file system without attributes has none. */
int xattr_names_read(struct xattr_names *names, int fd, struct error *error);

/* For owned(); repeatable. */
void xattr_names_clear(struct xattr_names *names);

/*
 * Copies the attributes named. Afterwards the owner of the target must not change any more: that
 * drops file capabilities. An attribute that the target's file system does not support is left out,
 * logged once and counted.
 */
int xattr_copy(const struct xattr_names *names, int source_fd, int target_fd, struct error *error);

/* Removes what the source, -1 for one without attributes, has not. */
int xattr_remove_others(int source_fd, int target_fd, struct error *error);

/* Copies all attributes to the entry name of dirfd, which need not be one that can be opened for
 * real. source_fd may be a handle. */
int xattr_copy_named(int source_fd, int dirfd, const char *name, struct error *error);

/* True if both inodes have the same attributes; else *out_name, to be freed with mem_free, is one
 * that differs. Negative on errors. */
int xattr_equal(int a_fd, int b_fd, char **out_name, struct error *error);
