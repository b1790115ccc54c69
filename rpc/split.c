/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/split.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* Longer ones protobuf-c refuses as well. */
enum { VARINT_BYTES_MAX = 10, TAG_BYTES_MAX = 5, LENGTH_BYTES_MAX = 5 };

#define FIRST_REST 256

/* A place in the slices. */
struct cursor {
    const struct iovec *slice;
    size_t offset; /* in the slice */
    size_t left;   /* bytes from here to the end of the last slice */
};

struct field {
    unsigned number;
    enum wire_type type;
    struct cursor data; /* of WIRE_BYTES */
    size_t length;
};

/* The bytes at the cursor that lie in one piece, at most limit, which is not beyond the end. */
static struct iovec piece_at(struct cursor *cursor, size_t limit)
{
    while (cursor->offset == cursor->slice->iov_len) {
        cursor->slice++;
        cursor->offset = 0;
    }
    size_t length = cursor->slice->iov_len - cursor->offset;
    return (struct iovec){.iov_base = (uint8_t *) cursor->slice->iov_base + cursor->offset,
                          .iov_len = length < limit ? length : limit};
}

static void advance(struct cursor *cursor, size_t count)
{
    cursor->offset += count;
    cursor->left -= count;
}

static bool skip(struct cursor *cursor, uint64_t count)
{
    if (count > cursor->left)
        return false;
    for (size_t left = (size_t) count; left > 0;) {
        struct iovec piece = piece_at(cursor, left);
        advance(cursor, piece.iov_len);
        left -= piece.iov_len;
    }
    return true;
}

static bool read_varint(struct cursor *cursor, unsigned bytes_max, uint64_t *out_value)
{
    uint64_t value = 0;
    for (unsigned i = 0; i < bytes_max && cursor->left > 0; i++) {
        uint8_t byte = *(const uint8_t *) piece_at(cursor, 1).iov_base;
        advance(cursor, 1);
        value |= (uint64_t) (byte & 0x7f) << (7 * i);
        if (!(byte & 0x80)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool read_field(struct cursor *cursor, struct field *out_field)
{
    uint64_t tag = 0;
    uint64_t value = 0;
    if (!read_varint(cursor, TAG_BYTES_MAX, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    out_field->number = (unsigned) (tag >> 3);
    out_field->type = (enum wire_type)(tag & 7);
    switch (out_field->type) {
    case WIRE_VARINT:
        return read_varint(cursor, VARINT_BYTES_MAX, &value);
    case WIRE_FIXED64:
        return skip(cursor, 8);
    case WIRE_FIXED32:
        return skip(cursor, 4);
    case WIRE_BYTES:
        if (!read_varint(cursor, LENGTH_BYTES_MAX, &value))
            return false;
        out_field->data = *cursor;
        out_field->length = (size_t) value;
        return skip(cursor, value);
    default: /* groups are refused, as wire_check does */
        return false;
    }
}

/* Appends count bytes from the cursor on. size is that of the memory. */
static void keep(struct split *split, size_t *size, struct cursor from, size_t count)
{
    if (split->rest_length + count > *size) {
        *size = *size ? *size * 2 : FIRST_REST;
        if (*size < split->rest_length + count)
            *size = split->rest_length + count;
        split->rest = mem_resize(split->rest, *size, 1);
    }
    while (count > 0) {
        struct iovec piece = piece_at(&from, count);
        memcpy(split->rest + split->rest_length, piece.iov_base, piece.iov_len);
        split->rest_length += piece.iov_len;
        advance(&from, piece.iov_len);
        count -= piece.iov_len;
    }
}

static size_t count_pieces(struct cursor from, size_t length)
{
    size_t count = 0;
    for (; length > 0; count++) {
        struct iovec piece = piece_at(&from, length);
        advance(&from, piece.iov_len);
        length -= piece.iov_len;
    }
    return count;
}

static void point_at_payload(struct split *split, const struct field *payload)
{
    struct cursor from = payload->data;
    size_t count = count_pieces(from, payload->length);
    if (count == 0)
        return;
    split->payload = mem_alloc_array(count, sizeof *split->payload);
    split->payload_count = count;
    size_t left = payload->length;
    for (size_t i = 0; i < count; i++) {
        split->payload[i] = piece_at(&from, left);
        advance(&from, split->payload[i].iov_len);
        left -= split->payload[i].iov_len;
    }
}

int split_message(const struct iovec *slices, size_t count, unsigned field, struct split *out_split,
                  struct error *error)
{
    struct split split = {0};
    struct field payload = {0};
    struct cursor cursor = {.slice = slices};
    size_t rest_size = 0;
    for (size_t i = 0; i < count; i++)
        cursor.left += slices[i].iov_len;
    while (cursor.left > 0) {
        struct cursor start = cursor;
        struct field next = {0};
        bool valid = read_field(&cursor, &next);
        if (!valid || (next.number == field && next.type != WIRE_BYTES)) {
            split_clear(&split);
            return error_set(error, ERROR_INVALID, "the message is malformed");
        }
        if (next.number == field)
            payload = next;
        else
            keep(&split, &rest_size, start, start.left - cursor.left);
    }
    point_at_payload(&split, &payload);
    *out_split = split;
    return 0;
}

void split_clear(struct split *split)
{
    free(split->rest);
    free(split->payload);
    *split = (struct split){0};
}
