/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/darwin/internal.h"

/* Puts the attributes of one inode into a buffer as getattrlist(2) does. */

struct packing {
    char *buffer;
    size_t size;
    size_t used; /* beyond size if it did not fit */
};

/* The inode that an answer is about; path in dirfd, "" for dirfd itself. */
struct subject {
    int dirfd;
    const char *path;
    struct inode inode;
};

/* Appends, with padding to four bytes. */
void pack_bytes(struct packing *packing, const void *bytes, size_t size);

/* One record: its length, and what is wanted of it. EINVAL for what nobody here knows. A record
 * that does not fit sets used beyond size. */
int pack_record(struct packing *packing, const struct attrlist *wanted,
                const struct subject *subject, uint64_t options);
