/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/error.h"
#include "diff/xattr_set.h"

/*
 * The header of one entry of a tar archive, as a function of the entry alone, byte for byte what
 * Go's archive/tar writes for containerd: ustar where that can say everything, else pax with those
 * records alone that are needed, names as the bytes that they are. libarchive's writer would
 * convert names by the locale and write records that no reader here wants.
 */
enum tar_type {
    TAR_FILE = '0',
    TAR_HARD_LINK = '1',
    TAR_SYMLINK = '2',
    TAR_CHAR_DEVICE = '3',
    TAR_BLOCK_DEVICE = '4',
    TAR_DIR = '5',
    TAR_FIFO = '6'
};

struct tar_entry {
    enum tar_type type;
    const char *path;   /* a directory's ends in "/" */
    const char *target; /* of a link; "" otherwise */
    mode_t mode;        /* permissions and set-id bits alone count */
    uid_t uid;
    gid_t gid;
    uint64_t size; /* of a file, else 0 */
    int64_t mtime_seconds;
    unsigned device_major;
    unsigned device_minor;
    const struct xattr_set *xattrs; /* may be NULL */
    unsigned file_flags;            /* OS_FLAG_... (tree/os.h) */
};

enum { TAR_BLOCK = 512 };

/* Makes the header: *out_size is a multiple of TAR_BLOCK; free *out_header with mem_free.
 * ERROR_PRECONDITION for an entry whose pax records together exceed the 1 MiB that Go reads. */
int tar_header_make(const struct tar_entry *entry, char **out_header, size_t *out_size,
                    struct error *error);
