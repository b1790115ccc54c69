/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/*
 * What requests under way need to stay (invariant 4), in memory: keys that are reserved for a
 * Prepare, and parents that are being cloned. Thread-safe; waits only for a removal of the same
 * key.
 */
struct pins;

struct pins *pins_new(void);
void pins_free(struct pins *pins); /* nothing may be pinned; NULL is allowed */

/* Reserves a key until pins_release: ERROR_EXISTS if somebody else prepares it. */
int pins_reserve(struct pins *pins, const char *snapshotter, const char *key, struct error *error);
void pins_release(struct pins *pins, const char *snapshotter, const char *key);
bool pins_is_reserved(struct pins *pins, const char *snapshotter, const char *key);

/* Keeps the snapshot from being removed until pins_unhold. Waits while a removal of it is decided:
 * then it is either gone, which the next read shows, or stays. */
void pins_hold(struct pins *pins, const char *snapshotter, const char *key);
void pins_unhold(struct pins *pins, const char *snapshotter, const char *key);

/* Begins a removal: ERROR_PRECONDITION while the snapshot is held. Ends when it is decided. */
int pins_begin_removal(struct pins *pins, const char *snapshotter, const char *key,
                       struct error *error);
void pins_end_removal(struct pins *pins, const char *snapshotter, const char *key);
