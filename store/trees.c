/* SPDX-License-Identifier: Apache-2.0 */
#include "store/trees.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/record.h"

int store_tree_next(struct store_txn *txn, uint64_t *inout_tree, struct error *error)
{
    MDB_val owner;
    return store_get_from(txn, TABLE_TREES, inout_tree, &owner, error);
}

int store_layer_next(struct store_txn *txn, uint64_t *inout_layer, struct error *error)
{
    MDB_val owner;
    return store_get_from(txn, TABLE_LAYERS, inout_layer, &owner, error);
}

static int find_owner(struct store_txn *txn, enum store_table table, uint64_t owned_id,
                      struct snapshot_record *out_record, struct error *error)
{
    size_t id = owned_id;
    MDB_val key = value_of(&id, sizeof id);
    MDB_val owner;
    int found = store_get(txn, table, &key, &owner, error);
    if (found <= 0)
        return found;
    MDB_val value;
    found = store_get(txn, TABLE_SNAPSHOTS, &owner, &value, error);
    if (found < 0)
        return found;
    if (found == 0)
        return error_set(error, ERROR_CORRUPT, "%llu belongs to a snapshot without record",
                         (unsigned long long) owned_id);
    int rc = record_unpack(&value, out_record, error);
    return rc == 0 ? 1 : rc;
}

int store_tree_owner(struct store_txn *txn, uint64_t tree, struct snapshot_record *out_record,
                     struct error *error)
{
    return find_owner(txn, TABLE_TREES, tree, out_record, error);
}

int store_layer_owner(struct store_txn *txn, uint64_t layer, struct snapshot_record *out_record,
                      struct error *error)
{
    return find_owner(txn, TABLE_LAYERS, layer, out_record, error);
}

int store_tree_set_unflushed(struct store_txn *txn, uint64_t tree, struct error *error)
{
    uint64_t generation = mdb_txn_id(txn->mdb);
    size_t id = tree;
    MDB_val key = value_of(&id, sizeof id);
    MDB_val value = value_of(&generation, sizeof generation);
    return store_put(txn, TABLE_UNFLUSHED, &key, &value, error);
}

int store_tree_is_unflushed(struct store_txn *txn, uint64_t tree, struct error *error)
{
    size_t id = tree;
    MDB_val key = value_of(&id, sizeof id);
    MDB_val value;
    return store_get(txn, TABLE_UNFLUSHED, &key, &value, error);
}

int store_tree_list_unflushed(struct store_txn *txn, struct store_unflushed **out_list,
                              size_t *out_count, struct error *error)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn->mdb, txn->store->tables[TABLE_UNFLUSHED], &cursor);
    if (rc != 0)
        return store_raise(error, rc, "cannot list the trees to be flushed");
    struct store_unflushed *list = NULL;
    size_t count = 0;
    size_t capacity = 0;
    MDB_val key;
    MDB_val value;
    for (rc = mdb_cursor_get(cursor, &key, &value, MDB_FIRST); rc == 0;
         rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) {
        if (count == capacity) {
            capacity = capacity ? capacity * 2 : 16;
            list = mem_resize(list, capacity, sizeof *list);
        }
        list[count++] =
            (struct store_unflushed){.tree = read_u64(&key), .generation = read_u64(&value)};
    }
    mdb_cursor_close(cursor);
    if (rc != MDB_NOTFOUND) {
        free(list);
        return store_raise(error, rc, "cannot list the trees to be flushed");
    }
    *out_list = list;
    *out_count = count;
    return 0;
}

int store_tree_drop_unflushed(struct store_txn *txn, uint64_t tree, struct error *error)
{
    size_t id = tree;
    MDB_val key = value_of(&id, sizeof id);
    return store_delete(txn, TABLE_UNFLUSHED, &key, NULL, error);
}

int store_tree_set_flushed(struct store_txn *txn, const struct store_unflushed *flushed,
                           struct error *error)
{
    size_t id = flushed->tree;
    MDB_val key = value_of(&id, sizeof id);
    MDB_val value;
    int found = store_get(txn, TABLE_UNFLUSHED, &key, &value, error);
    if (found <= 0 || read_u64(&value) != flushed->generation)
        return found < 0 ? found : 0;
    return store_tree_drop_unflushed(txn, flushed->tree, error);
}
