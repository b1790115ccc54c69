/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/error.h"

/*
 * Takes one bytes field out of the top level of a packed message without copying its bytes, which
 * lie in slices as they came from the network.
 */
struct split {
    uint8_t *rest; /* all other fields in their order, a packed message; NULL if there are none */
    size_t rest_length;
    struct iovec *payload; /* the field's bytes, where they are in the slices; no piece is empty */
    size_t payload_count;
};

/*
 * field is the number of a bytes field that is in no oneof. If it occurs more than once the last
 * one counts, as protobuf rules; if never, the payload is empty. ERROR_INVALID: the message's top
 * level is malformed, or the field is no bytes field there. The rest was not looked into: it still
 * needs wire_check. Clear out_split after success.
 */
int split_message(const struct iovec *slices, size_t count, unsigned field, struct split *out_split,
                  struct error *error);

void split_clear(struct split *split); /* repeatable; a zeroed one is allowed */
