/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "store/snapshots.h"

/*
 * A tree or a layer was lost, or may be damaged: what can be made again goes, to be made again;
 * else the snapshot is marked. For a store_change. 1 and the snapshot's record if it was marked,
 * which the caller clears; 0 if nothing was lost.
 */
int snapshot_damage(struct store_txn *txn, uint64_t id, struct snapshot_record *out_record,
                    struct error *error);
