/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* UTF-8, well-formed only: no surrogates, no overlong forms, up to U+10FFFF. NUL is a character. */

enum { UTF8_LONGEST = 4 };

/* Reads the character at text. Returns its length in bytes, or 0 if it is malformed, cut off by
 * length, or length is 0. */
size_t utf8_decode(const char *text, size_t length, uint32_t *out_character);

/* Writes a character and returns its length in bytes, or 0 if it has no UTF-8 form. */
size_t utf8_encode(uint32_t character, char out[UTF8_LONGEST]);

/* True if all the bytes are well-formed. */
bool utf8_valid(const char *text, size_t length);
