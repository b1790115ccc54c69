/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "diff/appledouble.h"
#include "diff/archive.h"

/*
 * A member "._NAME" that is held in memory until the next entry shows whether it describes that one
 * or is a file like others.
 */
struct apple_member {
    char *path; /* clean; NULL: none is held */
    struct archive_item item;
    char *data;
    size_t size;
    bool valid; /* it is an AppleDouble file */
    struct appledouble apple;
};

#define APPLE_MEMBER_NULL ((struct apple_member){0})

/* For owned(); repeatable. */
void apple_member_clear(struct apple_member *member);

/* True for an entry that may be such a member and is not too big to be held. */
bool apple_member_fits(const char *path, const struct archive_item *item, uint64_t max_bytes);

/* Holds the entry, with its data. What layer_archive_data says. */
int apple_member_hold(struct apple_member *member, const char *path,
                      const struct archive_item *item, struct layer_archive *archive,
                      struct error *error);

/* True if one is held and describes the entry at path. */
bool apple_member_describes(const struct apple_member *member, const char *path);

/* The extended attributes of an entry and those that a member adds, where it has none of that name.
 */
struct apple_xattrs {
    struct pax_xattr *xattrs;
    size_t count;
    char *names; /* of those that were added */
};

/* max_bytes: of a value; what is bigger is left out, which is logged once. 0 = any. */
void apple_xattrs_make(struct apple_xattrs *xattrs, const struct apple_member *member,
                       const struct archive_item *item, uint64_t max_bytes);

/* For owned(); repeatable. */
void apple_xattrs_clear(struct apple_xattrs *xattrs);
