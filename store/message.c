/* SPDX-License-Identifier: Apache-2.0 */
#include "store/message.h"

#include <stdlib.h>

#include "base/mem.h"

void message_set_time(Clonefs__Store__V1__Time *message, struct timestamp time)
{
    clonefs__store__v1__time__init(message);
    message->seconds = time.seconds;
    message->nanos = (uint32_t) time.nanos;
}

struct timestamp message_get_time(const Clonefs__Store__V1__Time *message)
{
    if (!message)
        return (struct timestamp){0};
    return (struct timestamp){.seconds = message->seconds, .nanos = (int32_t) message->nanos};
}

void message_labels_init(struct message_labels *messages, const struct labels *labels)
{
    messages->items = mem_alloc_array(labels->count, sizeof *messages->items);
    messages->pointers = mem_alloc_array(labels->count, sizeof *messages->pointers);
    for (size_t i = 0; i < labels->count; i++) {
        clonefs__store__v1__label__init(&messages->items[i]);
        messages->items[i].key = labels->items[i].key;
        messages->items[i].value = labels->items[i].value;
        messages->pointers[i] = &messages->items[i];
    }
}

void message_labels_clear(struct message_labels *messages)
{
    mem_free(&messages->pointers);
    mem_free(&messages->items);
}

void message_get_labels(Clonefs__Store__V1__Label *const *messages, size_t count,
                        struct labels *labels)
{
    for (size_t i = 0; i < count; i++)
        labels_set(labels, messages[i]->key, messages[i]->value);
}

void *message_pack(const ProtobufCMessage *message, size_t *out_size)
{
    *out_size = protobuf_c_message_get_packed_size(message);
    void *bytes = mem_alloc(*out_size);
    (void) protobuf_c_message_pack(message, bytes);
    return bytes;
}

static void *allocate(void *data, size_t size)
{
    struct message_room *room = data;
    size_t align = alignof(max_align_t);
    if (size >= sizeof room->bytes - room->used)
        return malloc(size);
    void *memory = room->bytes + room->used;
    size_t taken = (size + align - 1) & ~(align - 1);
    room->used = taken < sizeof room->bytes - room->used ? room->used + taken : sizeof room->bytes;
    return memory;
}

static void release(void *data, void *pointer)
{
    struct message_room *room = data;
    uintptr_t address = (uintptr_t) pointer;
    uintptr_t first = (uintptr_t) room->bytes;
    if (address < first || address >= first + sizeof room->bytes)
        free(pointer);
}

void *message_unpack(struct message_room *room, const ProtobufCMessageDescriptor *descriptor,
                     const MDB_val *value)
{
    room->allocator = (ProtobufCAllocator){allocate, release, room};
    room->used = 0;
    room->message =
        protobuf_c_message_unpack(descriptor, &room->allocator, value->mv_size, value->mv_data);
    return room->message;
}

void message_room_clear(struct message_room *room)
{
    protobuf_c_message_free_unpacked(room->message, &room->allocator);
    room->message = NULL;
}
