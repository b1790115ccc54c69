/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Checks a packed message before protobuf-c unpacks it, which would cut strings at a NUL and let
 * bad UTF-8 through: every string field must be valid UTF-8 without NUL. ERROR_INVALID names the
 * field. Fields that the descriptor does not know are skipped.
 */
int wire_check(const ProtobufCMessageDescriptor *descriptor, const uint8_t *bytes, size_t length,
               struct error *error);
