/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "diff/limits.h"

/*
 * The records of one pax extended header, checked as strictly as Go's reader does. What describes
 * the entry itself is passed on (pax_pass) for the archive's reader; extended attributes, file
 * flags, the birth time and the size are taken out of it; all else (names of users, ACLs, what only
 * other readers know) goes.
 */
struct pax_xattr {
    const char *name;
    const char *value; /* binary */
    size_t size;
    bool weak; /* from LIBARCHIVE.xattr: SCHILY.xattr of that name counts more */
};

struct pax {
    struct pax_xattr *xattrs; /* pointers into the text that was parsed */
    size_t xattr_count;
    size_t xattr_capacity;
    const char *file_flags; /* SCHILY.fflags, or NULL; into the text */
    bool has_birth;         /* LIBARCHIVE.creationtime */
    struct timespec birth;
    bool has_size;
    uint64_t size; /* of the data in the archive, if has_size */
    bool has_link; /* linkpath is among what is passed on */
    bool sparse;   /* there are GNU.sparse records */
    bool data_map; /* the map of the sparse file comes before its data */
    char *passed;  /* records that are passed on */
    size_t passed_length;
    size_t passed_capacity;
};

#define PAX_NULL ((struct pax){0})

/* Repeatable. */
void pax_clear(struct pax *pax);

/* Empties it and keeps its memory. */
void pax_reset(struct pax *pax);

/* Adds the records of text, which is changed and must live as long as pax is used; text[length] is
 * the caller's to change too. ERROR_INVALID, ERROR_NO_SPACE for a limit. */
int pax_parse(struct pax *pax, char *text, size_t length, const struct layer_limits *limits,
              struct error *error);

/* Adds a record to what is passed on. */
void pax_pass(struct pax *pax, const char *key, const char *value, size_t size);
