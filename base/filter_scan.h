/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

/*
 * Inside of filter_parse.c: reads the words of a filter and copies them, unquoted and terminated,
 * one after the other to out. text is valid UTF-8. The first character of a bare
 * value may be a control character, as in containerd.
 */
struct filter_scanner {
    const char *text;
    size_t length;
    size_t position;
    char *out;
};

enum { FILTER_END = 0 };

/* The character at position. */
uint32_t filter_peek(const struct filter_scanner *scanner);

void filter_skip_space(struct filter_scanner *scanner);

/* A bare field name or value; NULL if there is none at position. */
const char *filter_scan_field(struct filter_scanner *scanner);
const char *filter_scan_value(struct filter_scanner *scanner);

/*
 * A quoted text; the character at position is the quote. NULL, or what is wrong at position. An
 * escape for NUL is refused, which containerd allows: no name, label or digest can hold it.
 */
const char *filter_scan_quoted(struct filter_scanner *scanner, const char **out_text);
