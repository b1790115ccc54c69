/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "base/error.h"
#include "diff/limits.h"
#include "diff/pax.h"
#include "diff/stream.h"

/*
 * A layer's archive as a sequence of entries. libarchive reads the tar formats; what it is too lax
 * about is refused (diff/tar_guard.h). Memory is bounded by limits.header_bytes. Belongs to one
 * thread.
 */
enum entry_type {
    ENTRY_FILE,
    ENTRY_DIR,
    ENTRY_HARD_LINK,
    ENTRY_SYMLINK,
    ENTRY_CHAR,
    ENTRY_BLOCK,
    ENTRY_FIFO
};

struct archive_item {
    const char *name; /* exact bytes */
    enum entry_type type;
    mode_t mode; /* permissions and set-id bits */
    uid_t uid;
    gid_t gid;
    const char *target; /* of links, exact bytes, else NULL */
    uint64_t size;      /* of a file, holes included */
    uint64_t major;     /* of devices */
    uint64_t minor;
    struct timespec atime; /* within what containerd allows (contract 7.4, rule 13) */
    struct timespec mtime;
    bool has_birth;
    struct timespec birth; /* within the same bounds */
    const struct pax_xattr *xattrs;
    size_t xattr_count;
    const char *file_flags; /* names with commas between, or NULL */
};

struct layer_archive;

/* limits and stream must outlive the archive. */
int layer_archive_open(struct layer_stream *stream, const struct layer_limits *limits,
                       struct layer_archive **out_archive, struct error *error);

/* Reads the next entry, whose pointers live until the next call: 1, 0 at the end, or an error code:
 * ERROR_INVALID, ERROR_NO_SPACE for a limit, what the stream says. */
int layer_archive_next(struct layer_archive *archive, struct archive_item *out_item,
                       struct error *error);

struct archive_piece {
    const void *data; /* until the next call */
    size_t size;
    uint64_t offset; /* in the file; not before the end of the piece before */
};

/* The next piece of the entry's data: 1, 0 at its end, or an error code. Between the pieces are
 * holes. What is not taken is left out. */
int layer_archive_data(struct layer_archive *archive, struct archive_piece *out_piece,
                       struct error *error);

/* For owned(); NULL is allowed. */
void layer_archive_clear(struct layer_archive **archive);
