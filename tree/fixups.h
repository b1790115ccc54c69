/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"

/*
 * The fix-up list of a tree: what a clone of whole directories by one call (clonefile(2)) does not
 * bring along, so that a clone is repaired without looking at each of its files. It has each
 * directory, whose times the call changes, and those files of which the call loses something. It is
 * small beside the tree: its path and some 30 bytes for a directory.
 *
 * A list describes a tree that does not change any more. It belongs to one thread while it is
 * made; then it is only read, by any number.
 */
enum {
    FIXUP_DIRECTORY = 1,
    FIXUP_LINK = 2,       /* it has several names, each of which becomes a file of its own */
    FIXUP_ATTRIBUTES = 4, /* set-id bits, or an ACL */
    FIXUP_ACL = 8,        /* it has one */
    FIXUP_SPECIAL = 16,   /* FIFO, socket, device: the call refuses a directory that has one */
    FIXUP_LOCKED = 32     /* of one of the others: immutable or append-only */
};

struct fixup {
    const char *path; /* from the root, which is ""; the list's */
    unsigned what;    /* FIXUP_... */
    uint64_t group;   /* FIXUP_LINK: the place in the list of the first name of the same file;
                         before fixups_sort anything that all its names have in common, not 0 */
    uint64_t entries; /* FIXUP_DIRECTORY: its own ones, whatever they are */
    uint64_t bytes;   /* FIXUP_DIRECTORY: sizes of its own files */
};

struct fixups_text;

struct fixups {
    struct fixup *items; /* each directory before what is below it, all that below it together */
    size_t count;
    size_t capacity;
    struct fixups_text *text; /* where the paths are */
    size_t text_size;
};

#define FIXUPS_NULL ((struct fixups){0})

/* No list has more, and no tree that would need more has a list: 64 MiB of memory at most. */
enum { FIXUPS_MAX = 500000, FIXUPS_TEXT_MAX = 48 << 20 };

/* Repeatable, for owned(). */
void fixups_clear(struct fixups *list);

/* Adds an item, in any order, before fixups_sort; false if the list is full. Its path is copied. */
bool fixups_add(struct fixups *list, const struct fixup *item);

/* Brings the items into their order, once, when all have been added. */
void fixups_sort(struct fixups *list);

/* The directory of this path, and *out_end behind the last item below it; false if there is none.
 */
bool fixups_find(const struct fixups *list, const char *path, size_t *out_begin, size_t *out_end);

/* What the items from begin up to end have: all FIXUP_... bits, the sums of the figures. */
struct fixup fixups_sum(const struct fixups *list, size_t begin, size_t end);

/* Makes the list of the tree name in dirfd, which may not change meanwhile. 0; 1 for a tree that
 * needs too long a list; ERROR_CANCELLED, ERROR_PRECONDITION for a mount in it, ERROR_IO. */
int fixups_scan(struct fixups *out_list, int dirfd, const char *name, const struct cancel *cancel,
                struct error *error);

/* Writes the list to the new file name in dirfd, replacing an old one at once. It is not flushed:
 * what a power cut leaves of it is known by its check sum. ERROR_NO_SPACE, ERROR_IO. */
int fixups_save(const struct fixups *list, int dirfd, const char *name, struct error *error);

/* Reads it; false if there is none, or none that is whole. */
bool fixups_load(struct fixups *out_list, int dirfd, const char *name);
