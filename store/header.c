/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/message.h"

static MDB_val header_key(void)
{
    static const char name[] = "store";
    return value_of(name, sizeof name - 1);
}

int store_header_get(struct store_txn *txn, struct store_header *out_header, struct error *error)
{
    MDB_val key = header_key();
    MDB_val value;
    int found = store_get(txn, TABLE_STORE, &key, &value, error);
    if (found <= 0)
        return found;
    struct message_room room;
    const Clonefs__Store__V1__Store *record =
        message_unpack(&room, &clonefs__store__v1__store__descriptor, &value);
    if (!record)
        return error_set(error, ERROR_CORRUPT, "the store's header record cannot be read");
    *out_header = (struct store_header){.format = record->format, .next_id = record->next_id};
    (void) snprintf(out_header->uuid, sizeof out_header->uuid, "%s", record->uuid);
    (void) snprintf(out_header->boot_id, sizeof out_header->boot_id, "%s", record->boot_id);
    message_room_clear(&room);
    return 1;
}

int store_header_find(struct store_txn *txn, struct store_header *out_header, struct error *error)
{
    int found = store_header_get(txn, out_header, error);
    if (found < 0)
        return found;
    return found ? 0 : error_set(error, ERROR_CORRUPT, "the store's header record is missing");
}

int store_header_put(struct store_txn *txn, const struct store_header *header, struct error *error)
{
    Clonefs__Store__V1__Store record = CLONEFS__STORE__V1__STORE__INIT;
    record.format = header->format;
    record.uuid = (char *) header->uuid;
    record.next_id = header->next_id;
    record.boot_id = (char *) header->boot_id;
    MDB_val key = header_key();
    size_t size = 0;
    owned(mem_free) void *bytes = message_pack(&record.base, &size);
    MDB_val value = value_of(bytes, size);
    return store_put(txn, TABLE_STORE, &key, &value, error);
}
