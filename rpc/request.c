/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>

#include "base/mem.h"
#include "rpc/internal.h"
#include "rpc/wire.h"

/* More slices than this are joined first: a client may send its message byte by byte. */
#define SLICES_MAX 16384

static int unpack(struct rpc_call *call, const uint8_t *bytes, size_t length, struct error *error)
{
    const ProtobufCMessageDescriptor *descriptor = call->endpoint->method->request;
    int rc = wire_check(descriptor, bytes, length, error);
    if (rc != 0)
        return rc;
    call->request = protobuf_c_message_unpack(descriptor, &call->arena.allocator, length, bytes);
    if (call->request)
        return 0;
    if (call->arena.total > ARENA_LIMIT / 2)
        return error_set(error, ERROR_NO_SPACE, "the message has too many parts");
    return error_set(error, ERROR_INVALID, "the message is malformed");
}

/* Takes up to SLICES_MAX slices from the reader; false if there are more. */
static bool read_slices(grpc_byte_buffer_reader *reader, struct rpc_slices *slices)
{
    size_t size = 0;
    grpc_slice slice;
    while (grpc_byte_buffer_reader_next(reader, &slice)) {
        if (slices->count == size) {
            size = size ? size * 2 : 16;
            slices->items = mem_resize(slices->items, size, sizeof *slices->items);
        }
        slices->items[slices->count++] = slice;
        if (slices->count > SLICES_MAX)
            return false;
    }
    return true;
}

static void slices_clear(struct rpc_slices *slices)
{
    for (size_t i = 0; i < slices->count; i++)
        grpc_slice_unref(slices->items[i]);
    free(slices->items);
    *slices = (struct rpc_slices){0};
}

static void read_joined(struct rpc_call *call, grpc_byte_buffer_reader *reader,
                        struct rpc_slices *slices)
{
    grpc_byte_buffer_reader_destroy(reader); /* from the beginning again */
    (void) grpc_byte_buffer_reader_init(reader, call->received);
    slices_clear(slices);
    slices->items = mem_alloc(sizeof *slices->items);
    slices->items[slices->count++] = grpc_byte_buffer_reader_readall(reader);
}

/* Moves the message out of call->received: all its slices, or one of all bytes. The reader
 * decompresses where core has not. */
static int take_slices(struct rpc_call *call, bool joined, struct error *error)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, call->received))
        return error_set(error, ERROR_INVALID, "the message cannot be decompressed");
    if (joined || !read_slices(&reader, &call->slices))
        read_joined(call, &reader, &call->slices);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(call->received);
    call->received = NULL;
    return 0;
}

static int unpack_around_payload(struct rpc_call *call, struct error *error)
{
    const struct rpc_slices *slices = &call->slices;
    struct iovec *vector = mem_alloc_array(slices->count, sizeof *vector);
    for (size_t i = 0; i < slices->count; i++)
        vector[i] = (struct iovec){.iov_base = GRPC_SLICE_START_PTR(slices->items[i]),
                                   .iov_len = GRPC_SLICE_LENGTH(slices->items[i])};
    int rc = split_message(vector, slices->count, call->endpoint->method->payload_field,
                           &call->split, error);
    free(vector);
    if (rc != 0)
        return rc;
    rc = unpack(call, call->split.rest, call->split.rest_length, error);
    free(call->split.rest);
    call->split.rest = NULL;
    return rc;
}

int rpc_request_unpack(struct rpc_call *call, struct error *error)
{
    bool has_payload = call->endpoint->method->payload_field != 0;
    int rc = take_slices(call, !has_payload, error);
    if (rc != 0)
        return rc;
    if (has_payload)
        return unpack_around_payload(call, error);
    grpc_slice *bytes = &call->slices.items[0];
    rc = unpack(call, GRPC_SLICE_START_PTR(*bytes), GRPC_SLICE_LENGTH(*bytes), error);
    slices_clear(&call->slices);
    return rc;
}

void rpc_request_clear(struct rpc_call *call)
{
    call->request = NULL;
    split_clear(&call->split);
    slices_clear(&call->slices);
    arena_clear(&call->arena);
    if (call->received)
        grpc_byte_buffer_destroy(call->received);
    call->received = NULL;
}
