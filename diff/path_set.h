/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * A set of paths by their numbers (entry_path_id), at 11 to 22 bytes each. Nothing is ever taken
 * out. Not locked.
 */
struct path_set {
    uint64_t *slots; /* 0 = free */
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

#define PATH_SET_NULL ((struct path_set){0})

/* Repeatable. */
void path_set_clear(struct path_set *set);

void path_set_add(struct path_set *set, uint64_t id);
bool path_set_has(const struct path_set *set, uint64_t id);
