/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The volume below a directory. Platform calls, one file per system. */

/* True if rename and clone work between the two directories: one volume, one mount. False also on
 * failure. */
bool volume_is_same(int a_fd, int b_fd);

/*
 * Makes all data and metadata of the volume durable. fd must have been opened before the first
 * write that counts: an error that happened since then is reported once per descriptor (syncfs(2)).
 * 0, or -1 and errno.
 */
int volume_flush(int fd);

/* Makes what was written to a file durable, or, where that is much cheaper, sure to be written
 * before what volume_flush_drive is called for next (macOS). 0, or -1 and errno. */
int volume_flush_file(int fd);

/* Completes a flush that others made by fsync, which ends at the drive's own memory on macOS. */
int volume_flush_drive(int fd);

/* Starts to write a part of a file to disk and does not wait. Durable is what an fsync says; but
 * a failure of the disk, 0 or -1 and errno, is told only once, here or there. */
int volume_push(int fd, uint64_t offset, uint64_t length);

/* Waits until what was pushed of the part is written; the same. */
int volume_push_wait(int fd, uint64_t offset, uint64_t length);

/* Starts to read a part of a file from disk into memory and does not wait. Best effort. */
void volume_prefetch(int fd, uint64_t offset, uint64_t length);

/* Takes a file out of the page cache, so that the next read asks the disk. Best effort. */
void volume_forget_cached(int fd);

/* Reserves room on disk for the file to grow by bytes beyond its end; its size stays. Best effort:
 * false where the volume is full or cannot. */
bool volume_reserve(int fd, uint64_t bytes);
