/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/error.h"

/*
 * What is removed for the API and not yet deleted: trees and files in ROOT/trash. One thread of low
 * priority deletes whatever is there, from a moment after the last removal on, or one second after
 * the first; what is busy (something mounted inside) is tried again later.
 */
struct trash;

/* trash_fd is the folder; it stays the caller's and outlives the trash. */
int trash_open(int trash_fd, struct trash **out_trash, struct error *error);

/* Stops the thread, between two files if need be. NULL is allowed. */
void trash_close(struct trash *trash);

/* Moves the entry name of dirfd to trash, where it is called id, and wakes the thread; on a full
 * volume it may delete it, or wait for half a second until there is room. A failure is logged:
 * nothing names the entry any more, so that the next start sweeps it. */
void trash_put(struct trash *trash, int dirfd, const char *name, uint64_t id);

/* Wakes the thread, busy leftovers included. */
void trash_wake(struct trash *trash);

/* Room is needed: the thread does not wait for the end of removals. */
void trash_hurry(struct trash *trash);

/* Deletes all that is in trash, in this thread. */
void trash_drain(int trash_fd);
