/* SPDX-License-Identifier: Apache-2.0 */
#include "store/blobs.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/message.h"

/* One byte of algorithm, then the digest's own bytes. */
struct blob_key {
    uint8_t bytes[1 + DIGEST_MAX_SIZE];
};

static MDB_val make_key(const struct digest *digest, struct blob_key *key)
{
    size_t size = digest_size(digest->algorithm);
    key->bytes[0] = (uint8_t) digest->algorithm;
    memcpy(key->bytes + 1, digest->bytes, size);
    return value_of(key->bytes, 1 + size);
}

static int read_key(const MDB_val *key, struct digest *out_digest, struct error *error)
{
    const uint8_t *bytes = key->mv_data;
    struct digest digest = {0};
    if (key->mv_size > 0)
        digest.algorithm = (enum digest_algorithm) bytes[0];
    size_t size = digest_size(digest.algorithm);
    if (size == 0 || key->mv_size != 1 + size)
        return error_set(error, ERROR_CORRUPT, "the key of a blob's record cannot be read");
    memcpy(digest.bytes, bytes + 1, size);
    *out_digest = digest;
    return 0;
}

void blob_record_clear(struct blob_record *record)
{
    labels_clear(&record->labels);
    *record = BLOB_RECORD_NULL;
}

static void *pack(const struct blob_record *record, size_t *out_size)
{
    Clonefs__Store__V1__Blob message = CLONEFS__STORE__V1__BLOB__INIT;
    Clonefs__Store__V1__Time created;
    Clonefs__Store__V1__Time updated;
    Clonefs__Store__V1__Time changed;
    Clonefs__Store__V1__Time verified;
    owned(message_labels_clear) struct message_labels labels;
    message_set_time(&created, record->created);
    message_set_time(&updated, record->updated);
    message_set_time(&changed, record->stamp.changed);
    message_set_time(&verified, record->verified);
    message_labels_init(&labels, &record->labels);
    message.size = record->size;
    message.created = &created;
    message.updated = &updated;
    message.n_labels = record->labels.count;
    message.labels = labels.pointers;
    message.inode = record->stamp.inode;
    message.changed = &changed;
    message.verified = &verified;
    message.damaged = record->damaged;
    return message_pack(&message.base, out_size);
}

static int unpack(const struct digest *digest, const MDB_val *value, struct blob_record *out_record,
                  struct error *error)
{
    struct message_room room;
    const Clonefs__Store__V1__Blob *message =
        message_unpack(&room, &clonefs__store__v1__blob__descriptor, value);
    if (!message)
        return error_set(error, ERROR_CORRUPT, "a blob's record cannot be read");
    *out_record = (struct blob_record){
        .digest = *digest,
        .size = message->size,
        .created = message_get_time(message->created),
        .updated = message_get_time(message->updated),
        .stamp = {.inode = message->inode, .changed = message_get_time(message->changed)},
        .verified = message_get_time(message->verified),
        .damaged = message->damaged,
    };
    message_get_labels(message->labels, message->n_labels, &out_record->labels);
    message_room_clear(&room);
    return 0;
}

int store_blob_get(struct store_txn *txn, const struct digest *digest,
                   struct blob_record *out_record, struct error *error)
{
    struct blob_key key;
    MDB_val where = make_key(digest, &key);
    MDB_val value;
    int found = store_get(txn, TABLE_BLOBS, &where, &value, error);
    if (found <= 0)
        return found;
    int rc = unpack(digest, &value, out_record, error);
    return rc == 0 ? 1 : rc;
}

int store_blob_has(struct store_txn *txn, const struct digest *digest, struct error *error)
{
    struct blob_key key;
    MDB_val where = make_key(digest, &key);
    MDB_val value;
    return store_get(txn, TABLE_BLOBS, &where, &value, error);
}

int store_blob_put(struct store_txn *txn, const struct blob_record *record, struct error *error)
{
    struct blob_key key;
    MDB_val where = make_key(&record->digest, &key);
    size_t size = 0;
    owned(mem_free) void *bytes = pack(record, &size);
    MDB_val value = value_of(bytes, size);
    return store_put(txn, TABLE_BLOBS, &where, &value, error);
}

int store_blob_delete(struct store_txn *txn, const struct digest *digest, struct error *error)
{
    struct blob_key key;
    MDB_val where = make_key(digest, &key);
    return store_delete(txn, TABLE_BLOBS, &where, NULL, error);
}

/* Moves the cursor to the first record behind the position. */
static int seek(MDB_cursor *cursor, const struct store_blob_position *position, MDB_val *key,
                MDB_val *value)
{
    if (!position->started)
        return mdb_cursor_get(cursor, key, value, MDB_FIRST);
    struct blob_key last;
    MDB_val where = make_key(&position->digest, &last);
    *key = where;
    int rc = mdb_cursor_get(cursor, key, value, MDB_SET_RANGE);
    if (rc == 0 && key->mv_size == where.mv_size &&
        memcmp(key->mv_data, where.mv_data, where.mv_size) == 0)
        rc = mdb_cursor_get(cursor, key, value, MDB_NEXT);
    return rc;
}

int store_blob_next(struct store_txn *txn, struct store_blob_position *position,
                    struct blob_record *out_record, struct error *error)
{
    MDB_cursor *cursor = NULL;
    int rc = mdb_cursor_open(txn->mdb, txn->store->tables[TABLE_BLOBS], &cursor);
    if (rc != 0)
        return store_raise(error, rc, "cannot list the blobs");
    MDB_val key;
    MDB_val value;
    struct digest digest;
    rc = seek(cursor, position, &key, &value);
    mdb_cursor_close(cursor);
    if (rc == MDB_NOTFOUND)
        return 0;
    if (rc != 0)
        return store_raise(error, rc, "cannot list the blobs");
    rc = read_key(&key, &digest, error);
    if (rc != 0)
        return rc;
    *position = (struct store_blob_position){.digest = digest, .started = true};
    rc = unpack(&digest, &value, out_record, error);
    return rc == 0 ? 1 : rc;
}
