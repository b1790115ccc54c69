/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "snapshotter/snapshotter.h"

/*
 * Figures of active snapshots, by tree. The CRI asks for all of them every ten seconds; a walk of a
 * big tree costs more than that is worth, so a figure stays fresh for a minimum time and for a
 * multiple of what its walk took. Thread-safe, never blocks.
 */
struct usage_cache;

struct usage_cache *usage_cache_new(unsigned minimum_ms);
void usage_cache_free(struct usage_cache *cache); /* NULL is allowed */

/* True and the figure while it is fresh. */
bool usage_cache_get(struct usage_cache *cache, uint64_t tree, struct snapshot_usage *out_usage);

/* A walk that took walk_ms has just given this figure. */
void usage_cache_put(struct usage_cache *cache, uint64_t tree, struct snapshot_usage usage,
                     int64_t walk_ms);

void usage_cache_drop(struct usage_cache *cache, uint64_t tree);
