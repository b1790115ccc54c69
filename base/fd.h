/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/error.h"

/* File descriptors. All are close-on-exec; a path is one component below a directory's fd. */

/* For owned(fd_close): closes *fd unless negative and sets it to -1. Keeps errno. */
void fd_close(int *fd);

/* Moves a descriptor out of an owned variable. */
int fd_take(int *fd);

/* Opens the directory name in dirfd for reading, never through a link. -1 and errno on failure. */
int fd_open_dir(int dirfd, const char *name);

/* True for the errno values by which an open with O_NOFOLLOW says that there is no file: nothing is
 * there, a link, or a socket. */
bool fd_found_no_file(int sys);

/* Makes the directory name (mode exact, whatever the umask) unless it is there, and opens it. */
int fd_make_dir(int dirfd, const char *name, mode_t mode, struct error *error);

/* Reads at most size - 1 bytes of the file name in dirfd and NUL-terminates them. Returns the
 * length, or -1 and errno. */
ssize_t fd_read_small(int dirfd, const char *name, char *buffer, size_t size);

/*
 * Publishes a small file durably: writes name.new, fsyncs, renames it over name, fsyncs dirfd.
 * After a crash name holds the old or the new bytes.
 */
int fd_publish_small(int dirfd, const char *name, const char *data, size_t size,
                     struct error *error);

/* Reads what is in memory of size bytes at offset, and never waits for the disk (fd_linux.c).
 * Returns how many, or -1. */
ssize_t fd_read_cached(int fd, void *buffer, size_t size, uint64_t offset);

/* A path that leads to what fd is open on, for those who take nothing else. False if there is none,
 * or it is longer than size. */
bool fd_path(int fd, char *out, size_t size);

/* Writes the segments one after the other at offset. 0, or -1 and errno: part of them may be there
 * then. */
int fd_write_all(int fd, const struct iovec *segments, size_t count, uint64_t offset);

/* A decimal id as this store writes it: digits only, no leading zero, fits 63 bits. */
bool fd_name_is_id(const char *name);
