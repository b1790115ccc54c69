/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "content.pb-c.h"
#include "rpc/arena.h"
#include "rpc/split.h"
#include "rpc/wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WRITE (&containerd__services__content__v1__write_content_request__descriptor)
typedef Containerd__Services__Content__V1__WriteContentRequest write_request;

enum { SLICES_MAX = 8, DATA_FIELD = 6 };

static write_request *unpack(struct arena *arena, const uint8_t *bytes, size_t length)
{
    if (wire_check(WRITE, bytes, length, NULL) != 0)
        return NULL;
    return (write_request *) protobuf_c_message_unpack(WRITE, &arena->allocator, length, bytes);
}

static void expect(bool condition)
{
    if (!condition)
        abort();
}

/* Puts the payload back and compares with the message that was unpacked as a whole. */
static void compare(write_request *rest, const struct split *split, write_request *whole)
{
    uint8_t *bytes = NULL;
    size_t length = 0;
    for (size_t i = 0; i < split->payload_count; i++) {
        expect(split->payload[i].iov_len > 0);
        bytes = mem_resize(bytes, length + split->payload[i].iov_len, 1);
        memcpy(bytes + length, split->payload[i].iov_base, split->payload[i].iov_len);
        length += split->payload[i].iov_len;
    }
    expect(rest->data.len == 0);
    rest->data.data = bytes;
    rest->data.len = length;
    size_t size = protobuf_c_message_get_packed_size(&whole->base);
    expect(protobuf_c_message_get_packed_size(&rest->base) == size);
    uint8_t *packed = mem_alloc(2 * size);
    expect(protobuf_c_message_pack(&whole->base, packed) == size);
    expect(protobuf_c_message_pack(&rest->base, packed + size) == size);
    expect(memcmp(packed, packed + size, size) == 0);
    free(packed);
    free(bytes);
}

/* lengths says how long each slice is; the last takes what is left. Each is a copy of its own, so
 * that the address sanitizer sees reads beyond its end. */
static void cut(const uint8_t *lengths, const uint8_t *bytes, size_t size, struct iovec *slices)
{
    for (size_t i = 0; i < SLICES_MAX; i++) {
        size_t length = i + 1 < SLICES_MAX && lengths[i] < size ? lengths[i] : size;
        slices[i] = (struct iovec){.iov_base = malloc(length), .iov_len = length};
        if (length > 0)
            memcpy(slices[i].iov_base, bytes, length);
        bytes += length;
        size -= length;
    }
}

/* The input is the lengths of the slices, a byte each, and a packed message. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < SLICES_MAX)
        return 0;
    struct iovec slices[SLICES_MAX];
    cut(data, data + SLICES_MAX, size - SLICES_MAX, slices);
    struct arena whole_arena;
    struct arena rest_arena;
    arena_init(&whole_arena);
    arena_init(&rest_arena);
    write_request *whole = unpack(&whole_arena, data + SLICES_MAX, size - SLICES_MAX);
    write_request *rest = NULL;
    struct split split = {0};
    if (split_message(slices, SLICES_MAX, DATA_FIELD, &split, NULL) == 0)
        rest = unpack(&rest_arena, split.rest, split.rest_length);
    expect(!whole == !rest);
    if (rest)
        compare(rest, &split, whole);
    split_clear(&split);
    arena_clear(&whole_arena);
    arena_clear(&rest_arena);
    for (size_t i = 0; i < SLICES_MAX; i++)
        free(slices[i].iov_base);
    return 0;
}
