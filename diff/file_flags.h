/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "diff/layer_system.h"
#include "diff/place.h"

/*
 * Flags of files and directories that are set when all else is done, since they forbid it:
 * immutable files get no further link, immutable directories no further entry.
 */
struct file_flags_item;

struct file_flags {
    struct file_flags_item *items;
    size_t count;
    size_t capacity;
    uint64_t bytes; /* of memory */
};

#define FILE_FLAGS_NULL ((struct file_flags){0})

/* For owned(); repeatable. */
void file_flags_clear(struct file_flags *flags);

/* The OS_FLAG_... (tree/os.h) that a text as in SCHILY.fflags names: words with commas between.
 * What the system does not have is left out. */
unsigned file_flags_parse(enum layer_system system, const char *text);

/* Those of the flags that a layer carries which is made on the system; on Linux none, as with
 * containerd. */
unsigned file_flags_carried(enum layer_system system, unsigned flags);

/* Their words. */
enum { FILE_FLAGS_TEXT_SIZE = 64 };
void file_flags_text(unsigned flags, char out[FILE_FLAGS_TEXT_SIZE]);

/* Notes the flags of a clean path. ERROR_NO_SPACE if the notes need more than max_bytes; 0 = any.
 */
int file_flags_note(struct file_flags *flags, const char *path, unsigned wanted, uint64_t max_bytes,
                    struct error *error);

/* Sets what was noted, on what is still there. A file system without flags is logged once. */
int file_flags_set(const struct file_flags *flags, struct places *places, struct error *error);
