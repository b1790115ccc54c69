/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "tree/path_list.h"

/*
 * What trees had when they were given to steps of an unpacking (tree/inventory.h), in memory: some,
 * of 600,000 entries together at most, each for the time that a step takes. Whoever finds none
 * makes a clone instead. Thread-safe.
 */
struct inventories;

struct inventories *inventories_new(void);
void inventories_free(struct inventories *inventories); /* NULL is allowed */

/* When an inventory was true: its tree, the volume's time then, and clock_epoch before that. */
struct inventory_key {
    uint64_t tree;
    struct timestamp time;
    uint64_t epoch;
};

/* Keeps the list, which it takes; those that have been kept for longest go if they are too many. */
void inventories_put(struct inventories *inventories, const struct inventory_key *key,
                     struct path_list *take_list, int64_t now_ms);

/* True and the list, which is the caller's then, if there is one of this tree and time, and the
 * clock was not set since. */
bool inventories_take(struct inventories *inventories, uint64_t tree, struct timestamp time,
                      struct path_list *out_list);

/* The tree is gone. */
void inventories_drop(struct inventories *inventories, uint64_t tree);

/* Drops what nobody has asked for in half an hour. */
void inventories_drop_idle(struct inventories *inventories, int64_t now_ms);
