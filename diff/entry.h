/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"
#include "diff/archive.h"
#include "diff/unpacking.h"

/* What a file holds: the data of the archive's item, or bytes in memory. */
struct entry_content {
    struct layer_archive *archive; /* or NULL */
    const void *data;
    size_t size;
};

/*
 * Unpacks one entry to the clean path (contract 7.4, rules 2 to 13): a whiteout removes, everything
 * else is made, in place of what is there; a directory is merged with one that is there. The root
 * is left alone. ERROR_INVALID, ERROR_PRECONDITION for a mount that is in the way, ERROR_NO_SPACE,
 * ERROR_CANCELLED, ERROR_IO; the message does not name the entry.
 */
int entry_unpack(struct unpacking *unpacking, const char *path, const struct archive_item *item,
                 const struct entry_content *content, struct error *error);
