/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/spares.h"

/*
 * Which spares are ready, of which parents more are wanted, and which are too many: a policy in
 * memory. The records in the store are the truth; who takes a spare out of here has it for itself
 * and settles the record. Times are of clock_monotonic_ms. Thread-safe, never waits for anything.
 *
 * A parent wants spares when containers or build steps are started from it, or when it is the top
 * of an image that was just unpacked: at least one, and as many as were used within the last ten
 * minutes, but no more than a number of files allows; nothing any more when it has not been used
 * for an hour. The top is expected to be used by many within ten minutes, which need not have
 * happened yet; where clones share no data, by one. All parents together have a limit, too; those
 * used last come first. What is only expected, but for a first spare, comes last, when all is
 * quiet, and as long as the pool is less than half full.
 */
struct pool;

/* Where a clone shares no data with its origin, each parent has fewer. */
struct pool *pool_new(bool clones_share_data);
void pool_free(struct pool *pool); /* NULL is allowed */

/* A container or a build step starts from the snapshot. True if it wants a spare now. */
bool pool_note_use(struct pool *pool, const char *snapshotter, const char *parent, int64_t now_ms);

/* An unpacker has committed the snapshot: the top of an image, unless it goes on upon it soon,
 * which pool_note_layer says. */
void pool_note_top(struct pool *pool, const char *snapshotter, const char *parent, int64_t now_ms);
void pool_note_layer(struct pool *pool, const char *snapshotter, const char *parent,
                     int64_t now_ms);

/* A layer is unpacked, until the end is told. */
void pool_begin_unpacking(struct pool *pool);
void pool_end_unpacking(struct pool *pool, int64_t now_ms);

/* No layer is unpacked, and nothing of the above was noted for some seconds. */
bool pool_is_quiet(struct pool *pool, int64_t now_ms);

/* The snapshot is gone, and its spares with it. */
void pool_forget(struct pool *pool, const char *snapshotter, const char *parent);

/* Its tree could not be cloned, or is too small to be worth it: no spare of it for a while. */
void pool_pause(struct pool *pool, const char *snapshotter, const char *parent, int64_t now_ms);

/* Takes a spare of the parent, the oldest; false if there is none. The caller clears it. */
bool pool_take(struct pool *pool, const char *snapshotter, const char *parent,
               struct spare_record *out_spare);

/* Adds a spare, whose strings it takes; false if there is no place for it. */
bool pool_put(struct pool *pool, struct spare_record *take_spare);

/* True if there is nothing to look after, whatever time it is. */
bool pool_is_empty(struct pool *pool);

/* The parent that wants a spare most: true, and its names, which the caller frees with mem_free. */
bool pool_wants(struct pool *pool, int64_t now_ms, char **out_snapshotter, char **out_parent);

/* Takes a spare that is too many, or, with all, any: of the parent that was used least recently. */
bool pool_take_surplus(struct pool *pool, int64_t now_ms, bool all, struct spare_record *out_spare);
