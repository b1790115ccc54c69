/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/id_list.h"
#include "snapshotter/pool.h"
#include "store/root.h"
#include "store/store.h"

/* Records of spares when their parents go, and at the start. */

/* Deletes those of the parent, or, with NULL, of all parents of this snapshotter name, and adds
 * their trees to out_trees. */
int spares_drop(struct store_txn *txn, const char *snapshotter, const char *parent,
                struct id_list *out_trees, struct error *error);

/*
 * For the start, before the trees are swept: deletes records of spares whose tree or parent is
 * gone, and all of them after a boot, or if pool is NULL. The rest goes to the pool.
 */
int spares_load(struct store *store, const struct store_root *root, struct pool *pool,
                struct error *error);

/* Adds the trees of all spares to out_trees. */
int spares_list(struct store_txn *txn, struct id_list *out_trees, struct error *error);
