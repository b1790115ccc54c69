/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/*
 * A small file of ours in which damage is noticed: 16 bytes of magic, which tells what kind of file
 * it is, in which version (15 characters at most), then the content, then the SHA-256 of both.
 */

/* Writes the new file name in dirfd, replacing an old one at once. It is not flushed: what a power
 * cut leaves of it is known by its check sum. ERROR_NO_SPACE, ERROR_IO. */
int checked_file_save(int dirfd, const char *name, const char *magic, const void *content,
                      size_t size, struct error *error);

/* Its content, to be freed with mem_free. ERROR_CORRUPT if there is no such file, none of this
 * magic, none that is whole, or one of more than max bytes; ERROR_IO if it cannot be read. */
int checked_file_load(int dirfd, const char *name, const char *magic, size_t max,
                      char **out_content, size_t *out_size, struct error *error);
