/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "store/root.h"
#include "store/store.h"

/*
 * Makes trees durable after the fact. A change of a tree is acknowledged at once and noted as
 * unflushed in its own commit; a while later one flush of the volume covers all that was noted, and
 * the notes are taken back. What is still noted after a boot that nobody announced may be damaged,
 * and so may what a flush was for that failed.
 */
struct flusher;

int flusher_open(struct store *store, const struct store_root *root, unsigned delay_ms,
                 struct flusher **out_flusher, struct error *error);

/* Something was noted. */
void flusher_wake(struct flusher *flusher);

/* A tree that is being filled, and will be flushed by who fills it: a flush for it alone would take
 * half of it to disk now, in that one's way. Until flusher_release, which wakes the flusher. */
void flusher_hold(struct flusher *flusher, uint64_t tree);
void flusher_release(struct flusher *flusher, uint64_t tree);

/* Flushes once more without delay and stops; false if that took longer than timeout_ms: the thread
 * is still there then and uses the store. NULL is allowed. */
bool flusher_close(struct flusher *flusher, int timeout_ms);
