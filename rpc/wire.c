/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/wire.h"

#include <stdbool.h>
#include <string.h>

#include "base/utf8.h"

enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

/* Deeper than any of our messages. */
#define MAX_DEPTH 16

struct frame {
    const ProtobufCMessageDescriptor *descriptor;
    const uint8_t *at;
    const uint8_t *end;
};

struct field {
    unsigned number;
    enum wire_type type;
    const uint8_t *data; /* of WIRE_BYTES */
    size_t length;
};

static bool read_varint(struct frame *frame, uint64_t *out_value)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 70; shift += 7) {
        if (frame->at == frame->end)
            return false;
        uint8_t byte = *frame->at++;
        if (shift < 64)
            value |= (uint64_t) (byte & 0x7f) << shift;
        if (!(byte & 0x80)) {
            *out_value = value;
            return true;
        }
    }
    return false;
}

static bool skip(struct frame *frame, uint64_t count)
{
    if (count > (uint64_t) (frame->end - frame->at))
        return false;
    frame->at += count;
    return true;
}

static bool read_field(struct frame *frame, struct field *out_field)
{
    uint64_t tag = 0;
    uint64_t value = 0;
    if (!read_varint(frame, &tag) || tag >> 3 == 0 || tag >> 3 > 0x1fffffff)
        return false;
    out_field->number = (unsigned) (tag >> 3);
    out_field->type = (enum wire_type)(tag & 7);
    switch (out_field->type) {
    case WIRE_VARINT:
        return read_varint(frame, &value);
    case WIRE_FIXED64:
        return skip(frame, 8);
    case WIRE_FIXED32:
        return skip(frame, 4);
    case WIRE_BYTES:
        if (!read_varint(frame, &value))
            return false;
        out_field->data = frame->at;
        out_field->length = (size_t) value;
        return skip(frame, value);
    default:
        return false;
    }
}

static int check_string(const ProtobufCFieldDescriptor *descriptor, const struct field *field,
                        struct error *error)
{
    if (memchr(field->data, '\0', field->length))
        return error_set(error, ERROR_INVALID, "the field %s holds a NUL character",
                         descriptor->name);
    if (!utf8_valid((const char *) field->data, field->length))
        return error_set(error, ERROR_INVALID, "the field %s is not valid UTF-8", descriptor->name);
    return 0;
}

int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t length,
               struct error *error)
{
    struct frame stack[MAX_DEPTH];
    size_t depth = 1;
    if (length == 0)
        return 0;
    stack[0] = (struct frame){.descriptor = descriptor, .at = bytes, .end = bytes + length};
    while (depth > 0) {
        struct frame *frame = &stack[depth - 1];
        if (frame->at == frame->end) {
            depth--;
            continue;
        }
        struct field field = {0};
        if (!read_field(frame, &field))
            return error_set(error, ERROR_INVALID, "the message is malformed");
        const ProtobufCFieldDescriptor *known =
            protobuf_c_message_descriptor_get_field(frame->descriptor, field.number);
        if (!known || field.type != WIRE_BYTES)
            continue;
        if (known->type == PROTOBUF_C_TYPE_STRING) {
            int rc = check_string(known, &field, error);
            if (rc != 0)
                return rc;
        } else if (known->type == PROTOBUF_C_TYPE_MESSAGE) {
            if (depth == MAX_DEPTH)
                return error_set(error, ERROR_INVALID, "the message is nested too deeply");
            stack[depth++] = (struct frame){.descriptor = known->descriptor,
                                            .at = field.data,
                                            .end = field.data + field.length};
        }
    }
    return 0;
}
