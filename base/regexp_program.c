/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp_program.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/regexp_charset.h"

void regexp_program_clear(struct regexp_program *program)
{
    for (size_t i = 0; i < program->set_count; i++) {
        regexp_charset_free(program->sets[i]);
        mem_free(&program->set_texts[i]);
    }
    mem_free(&program->sets);
    mem_free(&program->set_texts);
    mem_free(&program->code);
    *program = (struct regexp_program){0};
}

static bool make_room(struct regexp_program *program, size_t more)
{
    if (more > REGEXP_INSTRUCTIONS_MAX - program->count)
        return false;
    while (program->capacity - program->count < more) {
        program->capacity = program->capacity ? program->capacity * 2 : 16;
        program->code = mem_resize(program->code, program->capacity, sizeof *program->code);
    }
    return true;
}

bool regexp_insert(struct regexp_program *program, size_t at, enum regexp_operation operation,
                   int32_t argument)
{
    if (!make_room(program, 1))
        return false;
    struct regexp_instruction *place = program->code + at;
    memmove(place + 1, place, (program->count - at) * sizeof *place);
    *place = (struct regexp_instruction){operation, argument};
    program->count++;
    return true;
}

bool regexp_emit(struct regexp_program *program, enum regexp_operation operation, int32_t argument)
{
    return regexp_insert(program, program->count, operation, argument);
}

static bool add_set(struct regexp_program *program, const char *text, bool caseless)
{
    struct regexp_charset *set =
        program->set_count < REGEXP_SETS_MAX ? regexp_charset_new(text, caseless) : NULL;
    if (!set)
        return false;
    size_t count = program->set_count++;
    if ((count & (count - 1)) == 0) { /* the capacity is the next power of two */
        size_t capacity = count ? 2 * count : 1;
        program->sets = mem_resize(program->sets, capacity, sizeof *program->sets);
        program->set_texts = mem_resize(program->set_texts, capacity, sizeof *program->set_texts);
    }
    program->sets[count] = set;
    program->set_texts[count] = mem_printf("%c%s", caseless ? 'i' : '-', text);
    return true;
}

bool regexp_emit_set(struct regexp_program *program, const char *text, bool caseless)
{
    size_t i = 0;
    while (i < program->set_count && ((program->set_texts[i][0] == 'i') != caseless ||
                                      strcmp(program->set_texts[i] + 1, text) != 0))
        i++;
    if (i == program->set_count && !add_set(program, text, caseless))
        return false;
    return regexp_emit(program, REGEXP_SET, (int32_t) i);
}

static void append(struct regexp_program *program, const struct regexp_instruction *piece,
                   size_t length)
{
    memcpy(program->code + program->count, piece, length * sizeof *piece);
    program->count += length;
}

/* (piece)* at the end of the program */
static bool star(struct regexp_program *program, size_t start)
{
    int32_t length = (int32_t) (program->count - start);
    return regexp_insert(program, start, REGEXP_SPLIT, length + 2) &&
           regexp_emit(program, REGEXP_JUMP, -length - 1);
}

bool regexp_repeat(struct regexp_program *program, size_t start, unsigned least, int most)
{
    size_t length = program->count - start;
    size_t optional = most > (int) least ? (size_t) most - least : 0;
    if (length == 0 || (least == 1 && most == 1))
        return true;
    if (least == 0 && most == REGEXP_UNLIMITED)
        return star(program, start);
    if (!make_room(program, least * length + optional * (length + 1) + 1))
        return false;
    owned(mem_free) struct regexp_instruction *piece = mem_alloc_array(length, sizeof *piece);
    memcpy(piece, program->code + start, length * sizeof *piece);
    program->count = start;
    for (unsigned i = 0; i < least; i++)
        append(program, piece, length);
    if (most == REGEXP_UNLIMITED)
        return regexp_emit(program, REGEXP_SPLIT, -(int32_t) length);
    for (; optional > 0; optional--) { /* each leads to the end as well */
        (void) regexp_emit(program, REGEXP_SPLIT, (int32_t) (optional * (length + 1)));
        append(program, piece, length);
    }
    return true;
}
