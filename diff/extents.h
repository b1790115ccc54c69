/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/*
 * Asks the file system where the data of two files is (per system: extents_linux.c,
 * extents_darwin.c).
 */

/* True if both files are known to have the same data because all of it is in the same blocks.
 * a_settled and b_settled say that the file has no data in memory that is not on disk yet; without
 * that its blocks may be those from before a write, so it is written out first. Whatever the file
 * system is not sure of counts as different; nothing is read. Both files are on one volume and have
 * this size. */
bool extents_shared(int a_fd, bool a_settled, int b_fd, bool b_settled, uint64_t size);
