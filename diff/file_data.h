/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "tree/os.h"

/* Reading the data of files in a tree that must not change meanwhile. */

/* Opens the regular file name of dirfd; ERROR_PRECONDITION unless it is the inode of stat and as it
 * was then. */
int file_data_open(int dirfd, const char *name, const struct os_stat *stat, int *out_fd,
                   struct error *error);

/* 0 if the file is still as it was at the time of stat, or ERROR_PRECONDITION. */
int file_data_check(int fd, const struct os_stat *stat, struct error *error);

/* Where the next data from offset on begins; size if only holes follow. A file system that tells
 * nothing of holes has data everywhere. */
uint64_t file_data_next(int fd, uint64_t offset, uint64_t size);

/* Where the data at offset ends: at a hole, or at size. */
uint64_t file_data_end(int fd, uint64_t offset, uint64_t size);
