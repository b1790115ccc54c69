/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/*
 * Flushes a volume in the background while much is written to it, so that the flush at the end has
 * little to wait for. It promises nothing and hides no error: that flush is told of all of them on
 * its own descriptor (syncfs(2)).
 */
struct flush_ahead;

/* The volume of the directory. Does nothing where it cannot be opened. */
struct flush_ahead *flush_ahead_new(int dirfd);

/* So much was written since flush_ahead_new. Not thread-safe. */
void flush_ahead_note(struct flush_ahead *ahead, uint64_t bytes);

/* Waits for a flush that has begun. For owned(); NULL is allowed. */
void flush_ahead_clear(struct flush_ahead **ahead);
