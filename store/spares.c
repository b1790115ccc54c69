/* SPDX-License-Identifier: Apache-2.0 */
#include "store/spares.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/message.h"

void spare_record_clear(struct spare_record *record)
{
    mem_free(&record->snapshotter);
    mem_free(&record->parent);
    *record = SPARE_RECORD_NULL;
}

int store_spare_put(struct store_txn *txn, const struct spare_record *record, struct error *error)
{
    Clonefs__Store__V1__Spare message = CLONEFS__STORE__V1__SPARE__INIT;
    Clonefs__Store__V1__Time cloned;
    size_t size = 0;
    size_t id = record->tree;
    message_set_time(&cloned, record->cloned);
    message.snapshotter = record->snapshotter;
    message.parent = record->parent;
    message.cloned = &cloned;
    message.clone_epoch = record->clone_epoch;
    message.entries = record->entries;
    owned(mem_free) void *bytes = message_pack(&message.base, &size);
    MDB_val key = value_of(&id, sizeof id);
    MDB_val value = value_of(bytes, size);
    return store_put(txn, TABLE_SPARES, &key, &value, error);
}

int store_spare_delete(struct store_txn *txn, uint64_t tree, struct error *error)
{
    size_t id = tree;
    MDB_val key = value_of(&id, sizeof id);
    MDB_val value;
    int found = store_get(txn, TABLE_SPARES, &key, &value, error);
    if (found <= 0)
        return found;
    int rc = store_delete(txn, TABLE_SPARES, &key, NULL, error);
    return rc == 0 ? 1 : rc;
}

static int unpack(uint64_t tree, const MDB_val *value, struct spare_record *out_record,
                  struct error *error)
{
    struct message_room room;
    const Clonefs__Store__V1__Spare *message =
        message_unpack(&room, &clonefs__store__v1__spare__descriptor, value);
    if (!message)
        return error_set(error, ERROR_CORRUPT, "the record of a spare cannot be read");
    *out_record = (struct spare_record){.tree = tree,
                                        .snapshotter = mem_strdup(message->snapshotter),
                                        .parent = mem_strdup(message->parent),
                                        .cloned = message_get_time(message->cloned),
                                        .clone_epoch = message->clone_epoch,
                                        .entries = message->entries};
    message_room_clear(&room);
    return 0;
}

int store_spare_next(struct store_txn *txn, uint64_t tree, struct spare_record *out_record,
                     struct error *error)
{
    MDB_val value;
    int found = store_get_from(txn, TABLE_SPARES, &tree, &value, error);
    int rc = found > 0 ? unpack(tree, &value, out_record, error) : 0;
    return rc == 0 ? found : rc;
}
