/* SPDX-License-Identifier: Apache-2.0 */
#include "store/snapshots.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/record.h"

int store_snapshot_get(struct store_txn *txn, const char *snapshotter, const char *key,
                       struct snapshot_record *out_record, struct error *error)
{
    uint8_t id[STORE_KEY_SIZE];
    store_key_make(snapshotter, key, id);
    MDB_val where = value_of(id, sizeof id);
    MDB_val value;
    int found = store_get(txn, TABLE_SNAPSHOTS, &where, &value, error);
    if (found <= 0)
        return found;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = record_unpack(&value, &record, error);
    if (rc != 0)
        return rc;
    if (strcmp(record.snapshotter, snapshotter) != 0 || strcmp(record.key, key) != 0)
        return error_set(error, ERROR_CORRUPT,
                         "the record of another snapshot stands in its place");
    *out_record = record;
    record = SNAPSHOT_RECORD_NULL;
    return 1;
}

static int put_child(struct store_txn *txn, const struct snapshot_record *record,
                     const uint8_t id[STORE_KEY_SIZE], struct error *error)
{
    if (!record->parent[0])
        return 0;
    uint8_t parent_id[STORE_KEY_SIZE];
    store_key_make(record->snapshotter, record->parent, parent_id);
    MDB_val where = value_of(parent_id, sizeof parent_id);
    MDB_val child = value_of(id, STORE_KEY_SIZE);
    return store_put(txn, TABLE_CHILDREN, &where, &child, error);
}

/* Says whose the tree or layer is; owned is its id, or 0. */
static int put_owner(struct store_txn *txn, enum store_table table, uint64_t owned_id,
                     const uint8_t id[STORE_KEY_SIZE], struct error *error)
{
    size_t number = owned_id;
    if (!number)
        return 0;
    MDB_val where = value_of(&number, sizeof number);
    MDB_val owner = value_of(id, STORE_KEY_SIZE);
    return store_put(txn, table, &where, &owner, error);
}

static int delete_owner(struct store_txn *txn, enum store_table table, uint64_t owned_id,
                        struct error *error)
{
    size_t number = owned_id;
    if (!number)
        return 0;
    MDB_val where = value_of(&number, sizeof number);
    int rc = store_delete(txn, table, &where, NULL, error);
    return rc == 0 ? store_delete(txn, TABLE_UNFLUSHED, &where, NULL, error) : rc;
}

int store_snapshot_put(struct store_txn *txn, const struct snapshot_record *record,
                       struct error *error)
{
    uint8_t id[STORE_KEY_SIZE];
    store_key_make(record->snapshotter, record->key, id);
    size_t size = 0;
    owned(mem_free) void *bytes = record_pack(record, &size);
    MDB_val where = value_of(id, sizeof id);
    MDB_val value = value_of(bytes, size);
    int rc = store_put(txn, TABLE_SNAPSHOTS, &where, &value, error);
    if (rc == 0)
        rc = put_child(txn, record, id, error);
    if (rc == 0)
        rc = put_owner(txn, TABLE_TREES, record->tree, id, error);
    return rc == 0 ? put_owner(txn, TABLE_LAYERS, record->layer, id, error) : rc;
}

int store_snapshot_delete(struct store_txn *txn, const struct snapshot_record *record,
                          struct error *error)
{
    uint8_t id[STORE_KEY_SIZE];
    store_key_make(record->snapshotter, record->key, id);
    MDB_val where = value_of(id, sizeof id);
    int rc = store_delete(txn, TABLE_SNAPSHOTS, &where, NULL, error);
    if (rc == 0 && record->parent[0]) {
        uint8_t parent_id[STORE_KEY_SIZE];
        store_key_make(record->snapshotter, record->parent, parent_id);
        MDB_val parent = value_of(parent_id, sizeof parent_id);
        MDB_val child = value_of(id, sizeof id);
        rc = store_delete(txn, TABLE_CHILDREN, &parent, &child, error);
    }
    if (rc == 0)
        rc = delete_owner(txn, TABLE_TREES, record->tree, error);
    return rc == 0 ? delete_owner(txn, TABLE_LAYERS, record->layer, error) : rc;
}

int store_snapshot_drop_tree(struct store_txn *txn, struct snapshot_record *record,
                             struct error *error)
{
    int rc = delete_owner(txn, TABLE_TREES, record->tree, error);
    record->tree = 0;
    return rc == 0 ? store_snapshot_put(txn, record, error) : rc;
}

int store_snapshot_drop_layer(struct store_txn *txn, struct snapshot_record *record,
                              struct error *error)
{
    int rc = delete_owner(txn, TABLE_LAYERS, record->layer, error);
    record->layer = 0;
    return rc == 0 ? store_snapshot_put(txn, record, error) : rc;
}

int store_snapshot_has_children(struct store_txn *txn, const char *snapshotter, const char *key,
                                struct error *error)
{
    uint8_t id[STORE_KEY_SIZE];
    store_key_make(snapshotter, key, id);
    MDB_val where = value_of(id, sizeof id);
    MDB_val child;
    return store_get(txn, TABLE_CHILDREN, &where, &child, error);
}

/* Moves the cursor to the first record of the scope behind the position. */
static int seek(MDB_cursor *cursor, const uint8_t scope[STORE_KEY_SCOPE],
                const struct store_position *position, MDB_val *key, MDB_val *value)
{
    if (!position->started) {
        *key = value_of(scope, STORE_KEY_SCOPE);
        return mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    }
    *key = value_of(position->key, STORE_KEY_SIZE);
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (rc == 0 && memcmp(key->mv_data, position->key, STORE_KEY_SIZE) == 0)
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    return rc;
}

int store_snapshot_next(struct store_txn *txn, const char *snapshotter,
                        struct store_position *position, struct snapshot_record *out_record,
                        struct error *error)
{
    uint8_t scope[STORE_KEY_SCOPE];
    store_key_scope(snapshotter, scope);
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn->mdb, txn->store->tables[TABLE_SNAPSHOTS], &cursor);
    if (rc != 0)
        return store_raise(error, rc, "cannot list the metadata");
    int answer = 0;
    MDB_val key;
    MDB_val value;
    rc = seek(cursor, scope, position, &key, &value);
    while (rc == 0 && answer == 0 && memcmp(key.mv_data, scope, sizeof scope) == 0) {
        memcpy(position->key, key.mv_data, STORE_KEY_SIZE);
        position->started = true;
        answer = record_unpack(&value, out_record, error);
        if (answer == 0 && strcmp(out_record->snapshotter, snapshotter) == 0)
            answer = 1;
        else if (answer == 0) { /* another name with the same eight bytes of hash */
            snapshot_record_clear(out_record);
            rc = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
        }
    }
    mdb_cursor_close(cursor);
    if (rc != 0 && rc != MDB_NOTFOUND)
        return store_raise(error, rc, "cannot list the metadata");
    return answer;
}
