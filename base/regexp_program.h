/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Inside of regexp.c: a pattern as a program for all threads of a search at once (Thompson's
 * construction). Jumps are relative, so that a piece can be moved and copied.
 */
enum regexp_operation {
    REGEXP_CHARACTER,   /* argument: the character; the next instruction is for the next one */
    REGEXP_ANY,         /* any character */
    REGEXP_NOT_NEWLINE, /* any but \n */
    REGEXP_SET,         /* argument: the number of the set */
    REGEXP_ASSERT,      /* argument: enum regexp_assertion */
    REGEXP_SPLIT,       /* goes on at the next instruction and at this one + argument */
    REGEXP_JUMP,        /* goes on at this one + argument */
    REGEXP_MATCH
};

enum regexp_assertion {
    REGEXP_TEXT_START,
    REGEXP_TEXT_END,
    REGEXP_LINE_START,
    REGEXP_LINE_END,
    REGEXP_WORD_BOUNDARY,
    REGEXP_NO_WORD_BOUNDARY
};

struct regexp_instruction {
    enum regexp_operation operation;
    int32_t argument;
};

struct regexp_charset;

/* Zeroed = empty. */
struct regexp_program {
    struct regexp_instruction *code;
    size_t count;
    size_t capacity;
    struct regexp_charset **sets;
    char **set_texts;
    size_t set_count;
};

/* All that return bool answer false when the program gets too large. */
enum { REGEXP_INSTRUCTIONS_MAX = 16384, REGEXP_SETS_MAX = 256, REGEXP_UNLIMITED = -1 };

void regexp_program_clear(struct regexp_program *program);

bool regexp_emit(struct regexp_program *program, enum regexp_operation operation, int32_t argument);

/* The same in front of the instruction at, which moves on with all that follow. */
bool regexp_insert(struct regexp_program *program, size_t at, enum regexp_operation operation,
                   int32_t argument);

/* One character of a set: text is a bracket expression as PCRE2 reads it. */
bool regexp_emit_set(struct regexp_program *program, const char *text, bool caseless);

/* What begins at start is to happen least to most times, or at least so often. */
bool regexp_repeat(struct regexp_program *program, size_t start, unsigned least, int most);
