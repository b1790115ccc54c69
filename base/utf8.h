/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* True if the bytes are well-formed UTF-8 (no surrogates, no overlong forms, up to U+10FFFF). */
bool utf8_valid(const char *text, size_t length);
