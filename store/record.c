/* SPDX-License-Identifier: Apache-2.0 */
#include "store/record.h"

#include <stdlib.h>

#include "base/mem.h"
#include "records.pb-c.h"

void snapshot_record_clear(struct snapshot_record *record)
{
    mem_free(&record->snapshotter);
    mem_free(&record->key);
    mem_free(&record->parent);
    labels_clear(&record->labels);
    *record = SNAPSHOT_RECORD_NULL;
}

static void time_to_message(struct timestamp time, Clonefs__Store__V1__Time *out)
{
    clonefs__store__v1__time__init(out);
    out->seconds = time.seconds;
    out->nanos = (uint32_t) time.nanos;
}

static struct timestamp time_from_message(const Clonefs__Store__V1__Time *message)
{
    if (!message)
        return (struct timestamp){0};
    return (struct timestamp){.seconds = message->seconds, .nanos = (int32_t) message->nanos};
}

static void *pack_with_labels(Clonefs__Store__V1__Snapshot *message, const struct labels *labels,
                              size_t *out_size)
{
    Clonefs__Store__V1__Label *items = mem_alloc_array(labels->count, sizeof *items);
    Clonefs__Store__V1__Label **pointers = mem_alloc_array(labels->count, sizeof *pointers);
    for (size_t i = 0; i < labels->count; i++) {
        clonefs__store__v1__label__init(&items[i]);
        items[i].key = labels->items[i].key;
        items[i].value = labels->items[i].value;
        pointers[i] = &items[i];
    }
    message->n_labels = labels->count;
    message->labels = pointers;
    *out_size = clonefs__store__v1__snapshot__get_packed_size(message);
    void *bytes = mem_alloc(*out_size);
    (void) clonefs__store__v1__snapshot__pack(message, bytes);
    free(pointers);
    free(items);
    return bytes;
}

void *record_pack(const struct snapshot_record *record, size_t *out_size)
{
    Clonefs__Store__V1__Snapshot message = CLONEFS__STORE__V1__SNAPSHOT__INIT;
    Clonefs__Store__V1__Time created;
    Clonefs__Store__V1__Time updated;
    Clonefs__Store__V1__Time cloned;
    time_to_message(record->created, &created);
    time_to_message(record->updated, &updated);
    time_to_message(record->cloned, &cloned);
    message.snapshotter = record->snapshotter;
    message.key = record->key;
    message.parent = record->parent;
    message.kind = (Clonefs__Store__V1__Snapshot__Kind) record->kind;
    message.created = &created;
    message.updated = &updated;
    message.cloned = &cloned;
    message.tree = record->tree;
    message.measured = record->measured;
    message.usage_bytes = record->usage_bytes;
    message.usage_inodes = record->usage_inodes;
    message.damaged = record->damaged;
    return pack_with_labels(&message, &record->labels, out_size);
}

int record_unpack(const MDB_val *value, struct snapshot_record *out_record, struct error *error)
{
    Clonefs__Store__V1__Snapshot *message =
        clonefs__store__v1__snapshot__unpack(NULL, value->mv_size, value->mv_data);
    if (!message)
        return error_set(error, ERROR_CORRUPT, "a snapshot's record cannot be read");
    *out_record = (struct snapshot_record){
        .snapshotter = mem_strdup(message->snapshotter),
        .key = mem_strdup(message->key),
        .parent = mem_strdup(message->parent),
        .kind = (enum snapshot_kind) message->kind,
        .created = time_from_message(message->created),
        .updated = time_from_message(message->updated),
        .tree = message->tree,
        .cloned = time_from_message(message->cloned),
        .measured = message->measured,
        .usage_bytes = message->usage_bytes,
        .usage_inodes = message->usage_inodes,
        .damaged = message->damaged,
    };
    for (size_t i = 0; i < message->n_labels; i++)
        labels_set(&out_record->labels, message->labels[i]->key, message->labels[i]->value);
    clonefs__store__v1__snapshot__free_unpacked(message, NULL);
    return 0;
}
