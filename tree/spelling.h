/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Spellings of names. On some volumes a name finds an entry that is spelled otherwise: in another
 * case, or in another normalisation of Unicode (every APFS). Which spellings are one is the
 * volume's own matter, which is never computed here: an entry is found by its identity. No locks.
 */
struct spelling_rules {
    bool folds; /* a name may find an entry that is spelled otherwise */
    bool told;  /* and then os_is_spelled is to be trusted */
};

/* Asks the volume of dirfd, by a file there that is removed again. ERROR_IO, ERROR_NO_SPACE. */
int spelling_ask(int dirfd, struct spelling_rules *out_rules, struct error *error);

/*
 * How the directory spells the entry that name finds: 0 as name, or nothing is found; 1 in another
 * way, *out_spelling, to be freed with mem_free. Adds to *looked how many entries had to be looked
 * at. Not to be called for volumes that do not fold. ERROR_IO.
 */
int spelling_find(const struct spelling_rules *rules, int dirfd, const char *name,
                  char **out_spelling, uint64_t *looked, struct error *error);
