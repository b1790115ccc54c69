/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/error.h"
#include "store/root.h"

/*
 * What is removed for the API and not yet deleted: folders in ROOT/trash. One thread of low
 * priority deletes whatever is there; what is busy (something mounted inside) is tried again later.
 */
struct trash;

int trash_open(const struct store_root *root, struct trash **out_trash, struct error *error);

/* Stops the thread, between two files if need be. NULL is allowed. */
void trash_close(struct trash *trash);

/* Moves a tree to trash and wakes the thread. A failure is logged: nothing names the tree any more,
 * so that the next start sweeps it. */
void trash_put(struct trash *trash, uint64_t tree);

/* Wakes the thread, busy leftovers included. */
void trash_wake(struct trash *trash);

/* Deletes all that is in trash, in this thread. */
void trash_drain(const struct store_root *root);
