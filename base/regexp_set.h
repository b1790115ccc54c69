/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * The part of regexp_syntax.c that deals with characters and sets of them: escapes, \d, \pL,
 * [brackets]. Each function reads Go's syntax at next, moves it, and writes PCRE2's; those that
 * return bool return false for what Go refuses.
 */
struct regexp_stream {
    const char *next; /* what is still to read */
    FILE *out;
};

bool regexp_read_character(struct regexp_stream *stream, uint32_t *out_character);

/* Reads the escape of one character; next is behind the backslash. */
bool regexp_read_escape(struct regexp_stream *stream, uint32_t *out_character);

/* Writes a character so that it means nothing but itself, in brackets and out of them. */
void regexp_write_character(struct regexp_stream *stream, uint32_t character);

/* True at \d, \pL and their like: a set in one escape. */
bool regexp_at_set_escape(const struct regexp_stream *stream);

/* Writes that set as it stands inside brackets. */
bool regexp_write_set_escape(struct regexp_stream *stream);

/* Writes a whole [bracket expression]; next is at the opening one. */
bool regexp_write_brackets(struct regexp_stream *stream);
