/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/preparation.h"

/*
 * Steps of an unpacking whose layers a differ of the client's writes, through the mount. Nobody
 * says what it did; but since what the tree had when the step began is in memory (inventories.h), a
 * layer is found by comparison, and the next step need not clone the tree to have one of its own.
 */

/* A big tree was made for the snapshot, which is not recorded yet: remembers what it has, if it is
 * for such a step. It may count as cloned a moment later then. */
void client_step_begin(struct preparation *preparation, const struct snapshot_record *parent,
                       const struct tree_clone_result *made, const struct cancel *cancel);

/* As take_over, of a parent that is such a step, whose layer is made and recorded before; that may
 * have been done though it answers 1. May flush the volume. */
int client_step_take_over(struct preparation *preparation, const struct cancel *cancel,
                          struct error *error);
