/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/digest.h"
#include "base/error.h"

/*
 * The store's folder on disk (docs/FORMAT.md): opened once, locked for one daemon, all of it on one
 * volume, so that clone and rename never meet a device boundary.
 */
struct store_root {
    char *path; /* absolute, without links; what clients get to see */
    int fd;
    int lock_fd;
    int trees_fd;
    int layers_fd;
    int trash_fd;
    int blob_fds[DIGEST_SHA512 + 1]; /* by enum digest_algorithm; the first is none: -1 */
    int ingest_fd;
};

#define STORE_ROOT_NULL                                                                            \
    ((struct store_root){.fd = -1,                                                                 \
                         .lock_fd = -1,                                                            \
                         .trees_fd = -1,                                                           \
                         .layers_fd = -1,                                                          \
                         .trash_fd = -1,                                                           \
                         .blob_fds = {-1, -1, -1, -1},                                             \
                         .ingest_fd = -1})

/*
 * Opens or makes ROOT (mode 0700) and its folders and takes the lock. ERROR_PRECONDITION if another
 * daemon has it, if the folders are not on one volume, or if it is somebody else's: a folder that
 * has files and no store, which is left as it is.
 */
int store_root_open(const char *path, struct store_root *out_root, struct error *error);

/* The same for a store that must be there: makes no root, and refuses one without a database. */
int store_root_open_existing(const char *path, struct store_root *out_root, struct error *error);
void store_root_close(struct store_root *root); /* repeatable */

/* True if no folder that holds data has an entry with a name of ours. */
bool store_root_is_empty(const struct store_root *root);
