/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/cancel.h"
#include "base/error.h"

/*
 * What requests under way need to stay (invariant 4), in memory: keys that are reserved for a
 * Prepare, snapshots that are being read (cloned, compared), and active ones into which a layer is
 * being unpacked. Thread-safe; waits only while a Remove or Commit of the same key is decided,
 * which takes one transaction, or where it says so.
 */
struct pins;

struct pins *pins_new(void);
void pins_free(struct pins *pins); /* nothing may be pinned; NULL is allowed */

/* Reserves a key until pins_release: ERROR_EXISTS if somebody else prepares it. */
int pins_reserve(struct pins *pins, const char *snapshotter, const char *key, struct error *error);
void pins_release(struct pins *pins, const char *snapshotter, const char *key);
bool pins_is_reserved(struct pins *pins, const char *snapshotter, const char *key);

/* Keeps the snapshot from being removed until pins_unhold. When this returns it is either gone,
 * which the next read shows, or stays. */
void pins_hold(struct pins *pins, const char *snapshotter, const char *key);
void pins_unhold(struct pins *pins, const char *snapshotter, const char *key);
bool pins_is_held(struct pins *pins, const char *snapshotter, const char *key);

/* As pins_hold, for one at a time: waits until its tree is made by whoever does so already.
 * ERROR_CANCELLED if it was cancelled meanwhile; else it ends by pins_end_rebuild. */
int pins_begin_rebuild(struct pins *pins, const char *snapshotter, const char *key,
                       const struct cancel *cancel, struct error *error);
void pins_end_rebuild(struct pins *pins, const char *snapshotter, const char *key);

/* Keeps the snapshot from being committed until pins_unwrite; a removal requests the cancel and
 * goes on. ERROR_PRECONDITION if somebody else writes there. Returns as pins_hold does. */
int pins_write(struct pins *pins, const char *snapshotter, const char *key, struct cancel *cancel,
               struct error *error);
void pins_unwrite(struct pins *pins, const char *snapshotter, const char *key);

/* Begins a removal: ERROR_PRECONDITION while the snapshot is held. Ends when it is decided, by
 * pins_decided. */
int pins_begin_removal(struct pins *pins, const char *snapshotter, const char *key,
                       struct error *error);

/* Begins a commit: ERROR_PRECONDITION while a layer is being unpacked there. Ends by pins_decided.
 */
int pins_begin_commit(struct pins *pins, const char *snapshotter, const char *key,
                      struct error *error);

/* Begins to take its tree away from the snapshot: false while it is held. Ends by pins_decided. */
bool pins_begin_taking(struct pins *pins, const char *snapshotter, const char *key);
void pins_decided(struct pins *pins, const char *snapshotter, const char *key);
