/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ingests.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/message.h"

void ingest_record_clear(struct ingest_record *record)
{
    mem_free(&record->ref);
    mem_free(&record->expected);
    *record = INGEST_RECORD_NULL;
}

static void *pack(const struct ingest_record *record, size_t *out_size)
{
    Clonefs__Store__V1__Ingest message = CLONEFS__STORE__V1__INGEST__INIT;
    Clonefs__Store__V1__Time started;
    message_set_time(&started, record->started);
    message.ref = record->ref;
    message.expected = record->expected;
    message.total = record->total;
    message.started = &started;
    message.inode = record->inode;
    return message_pack(&message.base, out_size);
}

static int unpack(uint64_t id, const MDB_val *value, struct ingest_record *out_record,
                  struct error *error)
{
    struct message_room room;
    const Clonefs__Store__V1__Ingest *message =
        message_unpack(&room, &clonefs__store__v1__ingest__descriptor, value);
    if (!message)
        return error_set(error, ERROR_CORRUPT, "the record of ingest %llu cannot be read",
                         (unsigned long long) id);
    *out_record = (struct ingest_record){
        .id = id,
        .ref = mem_strdup(message->ref),
        .expected = mem_strdup(message->expected),
        .total = message->total,
        .started = message_get_time(message->started),
        .inode = message->inode,
    };
    message_room_clear(&room);
    return 0;
}

int store_ingest_put(struct store_txn *txn, const struct ingest_record *record, struct error *error)
{
    size_t id = record->id;
    MDB_val where = value_of(&id, sizeof id);
    size_t size = 0;
    owned(mem_free) void *bytes = pack(record, &size);
    MDB_val value = value_of(bytes, size);
    return store_put(txn, TABLE_INGESTS, &where, &value, error);
}

int store_ingest_delete(struct store_txn *txn, uint64_t id, struct error *error)
{
    size_t key = id;
    MDB_val where = value_of(&key, sizeof key);
    return store_delete(txn, TABLE_INGESTS, &where, NULL, error);
}

int store_ingest_next(struct store_txn *txn, uint64_t min_id, struct ingest_record *out_record,
                      struct error *error)
{
    MDB_val value;
    int found = store_get_from(txn, TABLE_INGESTS, &min_id, &value, error);
    int rc = found > 0 ? unpack(min_id, &value, out_record, error) : 0;
    return rc == 0 ? found : rc;
}
