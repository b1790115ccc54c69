/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "diff/layer_system.h"

/*
 * Paths of entries below the root of the target, as bytes: components joined by single slashes,
 * none of them empty, "." or ".."; "" is the root. No locks, nothing can fail.
 */

/* Cleans a name by its text alone: what leads out of the root stays in it. out, of at least
 * strlen(name) + 1 bytes, may be name. Returns the number of components. */
size_t entry_path_clean(const char *name, char *out);

/* True if a system reads a component of the clean path as something else than a name: macOS, as a
 * way to the resource fork of a file. */
bool entry_path_is_special(enum layer_system system, const char *path);

/* The last component of a clean path. */
const char *entry_path_base(const char *path);

/* The length of a clean path without its last component. */
size_t entry_path_parent_length(const char *path);

/* A number for a path, made from its parent's number and its last component. Two paths share one by
 * rare accident only; it differs from one program run to the next. */
#define ENTRY_PATH_ROOT_ID ((uint64_t) 1)
uint64_t entry_path_id(uint64_t parent_id, const char *component, size_t length);

/* A name for messages: the end of a long one, what is not printable as \xNN. */
struct entry_text {
    char text[800];
};
void entry_text_make(struct entry_text *text, const char *name);

/* The same with all that is not ASCII as \xNN, to tell names apart that look the same. */
void entry_text_make_ascii(struct entry_text *text, const char *name);
