/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/*
 * The number of bytes at text, valid UTF-8, that graphic characters take up: letters, marks,
 * numbers, punctuation and symbols, but neither white space nor controls, formats or unassigned.
 */
size_t unicode_graphic_span(const char *text, size_t length);
