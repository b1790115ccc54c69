/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/message.h"

#include <google/protobuf/empty.pb-c.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"

void rpc_labels_read(const void *entries, size_t count, struct labels *out_labels)
{
    for (size_t i = 0; i < count; i++) {
        const struct rpc_label_entry *entry = NULL;
        memcpy(&entry, (const char *) entries + i * sizeof entry, sizeof entry);
        labels_set(out_labels, entry->key, entry->value);
    }
}

void rpc_labels_fill(struct rpc_labels *out, const struct labels *labels,
                     const ProtobufCMessageDescriptor *entry)
{
    *out = (struct rpc_labels){.count = labels->count};
    if (labels->count == 0)
        return;
    out->entries = mem_alloc_array(labels->count, sizeof *out->entries);
    out->pointers = mem_alloc_array(labels->count, sizeof *out->pointers);
    for (size_t i = 0; i < labels->count; i++) {
        protobuf_c_message_init(entry, &out->entries[i]);
        out->entries[i].key = labels->items[i].key;
        out->entries[i].value = labels->items[i].value;
        out->pointers[i] = &out->entries[i];
    }
}

void rpc_labels_clear(struct rpc_labels *labels)
{
    mem_free(&labels->entries);
    mem_free(&labels->pointers);
}

size_t rpc_labels_bytes(const struct labels *labels)
{
    size_t bytes = 0;
    for (size_t i = 0; i < labels->count; i++)
        bytes += strlen(labels->items[i].key) + strlen(labels->items[i].value) + 8;
    return bytes;
}

void rpc_time_fill(Google__Protobuf__Timestamp *message, struct timestamp time)
{
    google__protobuf__timestamp__init(message);
    message->seconds = time.seconds;
    message->nanos = time.nanos;
}

void rpc_reply_empty(struct rpc_call *call)
{
    const Google__Protobuf__Empty response = GOOGLE__PROTOBUF__EMPTY__INIT;
    rpc_call_reply(call, &response.base);
}

void rpc_fail_logged(struct rpc_call *call, const char *what, const char *key,
                     const struct error *error)
{
    bool ours = error->code == ERROR_IO || error->code == ERROR_NO_SPACE ||
                error->code == ERROR_CORRUPT || error->code == ERROR_INTERNAL;
    if (ours)
        log_error("%s %s: %s", what, key, error->message);
    else
        log_debug("%s %s: %s", what, key, error->message);
    rpc_call_fail(call, error);
}
