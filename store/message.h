/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <lmdb.h>
#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/labels.h"
#include "records.pb-c.h"

/* Messages to and from bytes, and the parts that several kinds of records share; for store/ alone.
 */

void message_set_time(Clonefs__Store__V1__Time *message, struct timestamp time);

/* NULL is the time that was never set. */
struct timestamp message_get_time(const Clonefs__Store__V1__Time *message);

/* Messages of labels, whose strings stay those of the labels they were made from. */
struct message_labels {
    Clonefs__Store__V1__Label *items;
    Clonefs__Store__V1__Label **pointers; /* what a message takes */
};

void message_labels_init(struct message_labels *messages, const struct labels *labels);
void message_labels_clear(struct message_labels *messages); /* repeatable, usable with owned() */

/* Copies the labels of a message into labels, which are empty. */
void message_get_labels(Clonefs__Store__V1__Label *const *messages, size_t count,
                        struct labels *labels);

/* Packs a message into a new buffer, which the caller frees with mem_free. */
void *message_pack(const ProtobufCMessage *message, size_t *out_size);

/*
 * Room for one unpacked message, on the stack: a list of all records unpacks one after the other,
 * and nearly all of them fit. What does not is taken from the heap.
 */
struct message_room {
    ProtobufCAllocator allocator;
    size_t used;
    ProtobufCMessage *message; /* NULL, or what message_room_clear frees */
    alignas(max_align_t) uint8_t bytes[4096];
};

/* Unpacks into the room, which needs no init. NULL if the bytes are no such message. */
void *message_unpack(struct message_room *room, const ProtobufCMessageDescriptor *descriptor,
                     const MDB_val *value);
void message_room_clear(struct message_room *room); /* after message_unpack only */
