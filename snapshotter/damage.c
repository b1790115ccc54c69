/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/damage.h"

#include "snapshotter/build.h"
#include "store/trees.h"

static int mark(struct store_txn *txn, struct snapshot_record *record, struct error *error)
{
    record->damaged = true;
    int rc = store_snapshot_put(txn, record, error);
    return rc == 0 ? 1 : rc;
}

static int lose_tree(struct store_txn *txn, struct snapshot_record *record, struct error *error)
{
    return snapshot_is_rebuildable(record) ? store_snapshot_drop_tree(txn, record, error)
                                           : mark(txn, record, error);
}

static int lose_layer(struct store_txn *txn, struct snapshot_record *record, struct error *error)
{
    return record->tree ? store_snapshot_drop_layer(txn, record, error) : mark(txn, record, error);
}

int snapshot_damage(struct store_txn *txn, uint64_t id, struct snapshot_record *out_record,
                    struct error *error)
{
    int rc = store_tree_owner(txn, id, out_record, error);
    if (rc > 0) {
        rc = lose_tree(txn, out_record, error);
    } else if (rc == 0) {
        rc = store_layer_owner(txn, id, out_record, error);
        if (rc > 0)
            rc = lose_layer(txn, out_record, error);
    }
    if (rc <= 0)
        snapshot_record_clear(out_record);
    return rc;
}
