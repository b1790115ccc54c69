/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/message.h"

void snapshot_record_clear(struct snapshot_record *record)
{
    mem_free(&record->snapshotter);
    mem_free(&record->key);
    mem_free(&record->parent);
    labels_clear(&record->labels);
    *record = SNAPSHOT_RECORD_NULL;
}

void *record_pack(const struct snapshot_record *record, size_t *out_size)
{
    Clonefs__Store__V1__Snapshot message = CLONEFS__STORE__V1__SNAPSHOT__INIT;
    Clonefs__Store__V1__Time created;
    Clonefs__Store__V1__Time updated;
    Clonefs__Store__V1__Time cloned;
    Clonefs__Store__V1__Time used;
    owned(message_labels_clear) struct message_labels labels;
    message_set_time(&created, record->created);
    message_set_time(&updated, record->updated);
    message_set_time(&cloned, record->cloned);
    message_set_time(&used, record->used);
    message_labels_init(&labels, &record->labels);
    message.snapshotter = record->snapshotter;
    message.key = record->key;
    message.parent = record->parent;
    message.kind = (Clonefs__Store__V1__Snapshot__Kind) record->kind;
    message.created = &created;
    message.updated = &updated;
    message.cloned = &cloned;
    message.n_labels = record->labels.count;
    message.labels = labels.pointers;
    message.tree = record->tree;
    message.measured = record->measured;
    message.usage_bytes = record->usage_bytes;
    message.usage_inodes = record->usage_inodes;
    message.damaged = record->damaged;
    message.clone_epoch = record->clone_epoch;
    message.unpacked = record->unpacked;
    message.layer = record->layer;
    message.fresh = record->fresh;
    message.used = record->used.seconds ? &used : NULL;
    message.shown = record->shown;
    return message_pack(&message.base, out_size);
}

int record_unpack(const MDB_val *value, struct snapshot_record *out_record, struct error *error)
{
    struct message_room room;
    const Clonefs__Store__V1__Snapshot *message =
        message_unpack(&room, &clonefs__store__v1__snapshot__descriptor, value);
    if (!message)
        return error_set(error, ERROR_CORRUPT, "a snapshot's record cannot be read");
    *out_record = (struct snapshot_record){
        .snapshotter = mem_strdup(message->snapshotter),
        .key = mem_strdup(message->key),
        .parent = mem_strdup(message->parent),
        .kind = (enum snapshot_kind) message->kind,
        .created = message_get_time(message->created),
        .updated = message_get_time(message->updated),
        .tree = message->tree,
        .cloned = message_get_time(message->cloned),
        .measured = message->measured,
        .usage_bytes = message->usage_bytes,
        .usage_inodes = message->usage_inodes,
        .damaged = message->damaged,
        .clone_epoch = message->clone_epoch,
        .unpacked = message->unpacked,
        .layer = message->layer,
        .fresh = message->fresh,
        .used = message_get_time(message->used),
        .shown = message->shown,
    };
    message_get_labels(message->labels, message->n_labels, &out_record->labels);
    message_room_clear(&room);
    return 0;
}
