/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

/* Ids are reserved on disk in blocks: one commit serves so many, and a crash skips the rest. */
#define ID_BLOCK 4096

static int reserve_block(struct store_txn *txn, void *context, struct error *error)
{
    uint64_t *out_end = context;
    struct store_header header;
    int rc = store_header_find(txn, &header, error);
    if (rc != 0)
        return rc;
    header.next_id += ID_BLOCK;
    *out_end = header.next_id;
    return store_header_put(txn, &header, error);
}

int store_new_id(struct store *store, uint64_t *out_id, struct error *error)
{
    int rc = 0;
    (void) pthread_mutex_lock(&store->id_lock);
    if (store->next_id == store->reserved_ids) {
        uint64_t end = 0;
        rc = store_write(store, reserve_block, &end, error);
        if (rc == 0) {
            store->next_id = end - ID_BLOCK;
            store->reserved_ids = end;
        }
    }
    if (rc == 0)
        *out_id = store->next_id++;
    (void) pthread_mutex_unlock(&store->id_lock);
    return rc;
}
