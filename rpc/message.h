/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <google/protobuf/timestamp.pb-c.h>

#include "base/clock.h"
#include "base/labels.h"
#include "rpc/call.h"

/* What the messages of all services have in common. */

/* Every message has a type of its own for the entries of its labels; all have this layout. */
struct rpc_label_entry {
    ProtobufCMessage base;
    char *key;
    char *value;
};

/* Adds the entries of a labels field: an array of count pointers. */
void rpc_labels_read(const void *entries, size_t count, struct labels *out_labels);

/* Labels as entries of a field, borrowing the strings. */
struct rpc_labels {
    struct rpc_label_entry *entries;
    struct rpc_label_entry **pointers; /* the field's value */
    size_t count;
};
void rpc_labels_fill(struct rpc_labels *out, const struct labels *labels,
                     const ProtobufCMessageDescriptor *entry);
void rpc_labels_clear(struct rpc_labels *labels);

/* About the bytes that they take in a message. */
size_t rpc_labels_bytes(const struct labels *labels);

void rpc_time_fill(Google__Protobuf__Timestamp *message, struct timestamp time);

/* Ends a unary call whose answer is Empty. */
void rpc_reply_empty(struct rpc_call *call);

/* rpc_call_fail; the log says what was done to which key: as an error if it is our fault, else at
 * debug level. */
void rpc_fail_logged(struct rpc_call *call, const char *what, const char *key,
                     const struct error *error);
