/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <stdlib.h>

#include <grpc/slice.h>

#include "base/mem.h"
#include "rpc/internal.h"

struct rpc_payload {
    grpc_slice slice;
};

enum { WIRE_BYTES = 2, TAG_AND_LENGTH_MAX = 10 + 10 };

struct rpc_payload *rpc_payload_new(size_t size)
{
    struct rpc_payload *payload = mem_alloc(sizeof *payload);
    payload->slice = grpc_slice_malloc(size);
    return payload;
}

void *rpc_payload_data(struct rpc_payload *payload)
{
    return GRPC_SLICE_START_PTR(payload->slice);
}

void rpc_payload_shrink(struct rpc_payload *payload, size_t size)
{
    assert(size <= GRPC_SLICE_LENGTH(payload->slice));
    GRPC_SLICE_SET_LENGTH(payload->slice, size);
}

void rpc_payload_free(struct rpc_payload *payload)
{
    if (!payload)
        return;
    grpc_slice_unref(payload->slice);
    free(payload);
}

static size_t put_varint(uint8_t *out, uint64_t value)
{
    size_t length = 0;
    for (; value >= 0x80; value >>= 7)
        out[length++] = (uint8_t) (value | 0x80);
    out[length++] = (uint8_t) value;
    return length;
}

/* The head, and what announces the payload's bytes. */
static grpc_slice pack_head(const ProtobufCMessage *head, unsigned field, size_t payload_size)
{
    size_t head_size = protobuf_c_message_get_packed_size(head);
    grpc_slice slice = grpc_slice_malloc(head_size + (payload_size > 0 ? TAG_AND_LENGTH_MAX : 0));
    uint8_t *bytes = GRPC_SLICE_START_PTR(slice);
    (void) protobuf_c_message_pack(head, bytes);
    if (payload_size > 0) {
        size_t size = head_size;
        size += put_varint(bytes + size, (uint64_t) field << 3 | WIRE_BYTES);
        size += put_varint(bytes + size, payload_size);
        GRPC_SLICE_SET_LENGTH(slice, size);
    }
    return slice;
}

grpc_byte_buffer *rpc_payload_pack(const ProtobufCMessage *head, unsigned field,
                                   struct rpc_payload *take_payload)
{
    size_t size = take_payload ? GRPC_SLICE_LENGTH(take_payload->slice) : 0;
    grpc_slice slices[2] = {pack_head(head, field, size)};
    if (size > 0)
        slices[1] = take_payload->slice;
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(slices, size > 0 ? 2 : 1);
    grpc_slice_unref(slices[0]);
    rpc_payload_free(take_payload); /* the buffer holds its bytes */
    return buffer;
}
