/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "records.pb-c.h"
#include "store/internal.h"

static MDB_val header_key(void)
{
    static char name[] = "store";
    return (MDB_val){.mv_size = sizeof name - 1, .mv_data = name};
}

int store_header_get(struct store_txn *txn, struct store_header *out_header, struct error *error)
{
    MDB_val key = header_key();
    MDB_val value;
    int found = store_get(txn, TABLE_STORE, &key, &value, error);
    if (found <= 0)
        return found;
    Clonefs__Store__V1__Store *record =
        clonefs__store__v1__store__unpack(NULL, value.mv_size, value.mv_data);
    if (!record)
        return error_set(error, ERROR_CORRUPT, "the store's header record cannot be read");
    *out_header = (struct store_header){.format = record->format, .next_id = record->next_id};
    (void) snprintf(out_header->uuid, sizeof out_header->uuid, "%s", record->uuid);
    (void) snprintf(out_header->boot_id, sizeof out_header->boot_id, "%s", record->boot_id);
    clonefs__store__v1__store__free_unpacked(record, NULL);
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
    MDB_val value = {.mv_size = clonefs__store__v1__store__get_packed_size(&record)};
    owned(mem_free) uint8_t *bytes = mem_alloc(value.mv_size);
    (void) clonefs__store__v1__store__pack(&record, bytes);
    value.mv_data = bytes;
    return store_put(txn, TABLE_STORE, &key, &value, error);
}
