/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "snapshotter/internal.h"

/* So many records go in one commit. */
#define BATCH 256

struct forgetting {
    const char *name;
    unsigned count; /* out */
};

static int forget_batch(struct store_txn *txn, void *context, struct error *error)
{
    struct forgetting *forgetting = context;
    int rc = 1;
    for (forgetting->count = 0; rc > 0 && forgetting->count < BATCH; forgetting->count++) {
        owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
        struct store_position start = {0};
        rc = store_snapshot_next(txn, forgetting->name, &start, &record, error);
        if (rc <= 0)
            break;
        int deleted = store_snapshot_delete(txn, &record, error);
        if (deleted < 0)
            rc = deleted;
    }
    return rc < 0 ? rc : 0;
}

/* Parents may go before their children here: all of the name goes. */
int snapshotter_forget(struct store *store, const struct store_root *root, const char *name,
                       uint64_t *out_count, struct error *error)
{
    struct forgetting forgetting = {.name = name};
    *out_count = 0;
    do {
        int rc = store_write(store, forget_batch, &forgetting, error);
        if (rc != 0)
            return rc;
        *out_count += forgetting.count;
    } while (forgetting.count > 0);
    int rc = snapshotter_sweep(store, root, error);
    if (rc == 0)
        trash_drain(root);
    return rc;
}
