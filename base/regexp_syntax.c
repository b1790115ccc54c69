/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp_syntax.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/regexp_set.h"

enum {
    NESTING_MAX = 200,
    REPEAT_MAX = 1000 /* Go's limit, for nested repetitions together */
};

enum flag { FLAG_CASELESS = 1, FLAG_MULTILINE = 2, FLAG_DOT_ALL = 4 };

/*
 * The weight of an item is how often a repetition {n,m} inside it makes something happen; Go
 * refuses what is heavier than REPEAT_MAX.
 */
struct group {
    unsigned heaviest;
    unsigned last;
    unsigned flags;   /* as they stand */
    size_t start;     /* its first instruction */
    size_t branch;    /* that of its last alternative */
    size_t last_jump; /* the end of the alternative before, which names the one before that;
                       * 0 = there is none */
};

struct parser {
    struct regexp_stream stream; /* writes the text of one set */
    char *set_text;
    size_t set_size;
    struct regexp_program *program;
    size_t item;     /* the first instruction of the last item */
    bool can_repeat; /* an item without a repetition stands right before */
    unsigned depth;
    struct group groups[NESTING_MAX];
};

static struct group *current(struct parser *parser)
{
    return &parser->groups[parser->depth];
}

/* An item begins here that is complete with the next instruction. */
static void add_item(struct parser *parser)
{
    struct group *group = current(parser);
    group->last = 1;
    parser->item = parser->program->count;
    parser->can_repeat = true;
}

static bool emit_item(struct parser *parser, enum regexp_operation operation, uint32_t argument)
{
    add_item(parser);
    return regexp_emit(parser->program, operation, (int32_t) argument);
}

static void begin_set(struct parser *parser)
{
    rewind(parser->stream.out);
}

static bool emit_set(struct parser *parser)
{
    (void) fputc('\0', parser->stream.out);
    if (fflush(parser->stream.out) != 0)
        return false;
    add_item(parser);
    bool caseless = (current(parser)->flags & FLAG_CASELESS) != 0;
    return regexp_emit_set(parser->program, parser->set_text, caseless);
}

static bool has_case(uint32_t character)
{
    return (character >= 'a' && character <= 'z') || (character >= 'A' && character <= 'Z') ||
           character >= 0x80;
}

static bool write_literal(struct parser *parser, uint32_t character)
{
    if (!(current(parser)->flags & FLAG_CASELESS) || !has_case(character))
        return emit_item(parser, REGEXP_CHARACTER, character);
    begin_set(parser);
    (void) fputc('[', parser->stream.out);
    regexp_write_character(&parser->stream, character);
    (void) fputc(']', parser->stream.out);
    return emit_set(parser);
}

/* \Q...\E, next is behind the Q: every character is itself, to the end if there is no \E. */
static bool write_verbatim(struct parser *parser)
{
    const char *end = strstr(parser->stream.next, "\\E");
    const char *stop = end ? end : parser->stream.next + strlen(parser->stream.next);
    uint32_t character;
    while (parser->stream.next < stop) {
        if (!regexp_read_character(&parser->stream, &character) ||
            !write_literal(parser, character))
            return false;
    }
    parser->stream.next = end ? end + 2 : stop;
    return true;
}

static bool write_set_escape(struct parser *parser)
{
    begin_set(parser);
    (void) fputc('[', parser->stream.out);
    if (!regexp_write_set_escape(&parser->stream))
        return false;
    (void) fputc(']', parser->stream.out);
    return emit_set(parser);
}

static bool write_brackets(struct parser *parser)
{
    begin_set(parser);
    return regexp_write_brackets(&parser->stream) && emit_set(parser);
}

static bool write_assertion(struct parser *parser, char escape)
{
    static const char escapes[] = "AzbB";
    static const enum regexp_assertion assertions[] = {
        REGEXP_TEXT_START, REGEXP_TEXT_END, REGEXP_WORD_BOUNDARY, REGEXP_NO_WORD_BOUNDARY};
    parser->stream.next++;
    return emit_item(parser, REGEXP_ASSERT, assertions[strchr(escapes, escape) - escapes]);
}

static bool write_backslash(struct parser *parser)
{
    if (regexp_at_set_escape(&parser->stream))
        return write_set_escape(parser);
    char escape = *++parser->stream.next;
    if (escape && strchr("AbBz", escape))
        return write_assertion(parser, escape);
    if (escape == 'Q') {
        parser->stream.next++;
        return write_verbatim(parser);
    }
    uint32_t character;
    return regexp_read_escape(&parser->stream, &character) && write_literal(parser, character);
}

static bool open_group(struct parser *parser, unsigned flags)
{
    if (parser->depth == NESTING_MAX - 1)
        return false;
    size_t start = parser->program->count;
    parser->groups[++parser->depth] =
        (struct group){.heaviest = 1, .flags = flags, .start = start, .branch = start};
    parser->can_repeat = false;
    return true;
}

/* All alternatives but the last go on behind it. */
static void join_alternatives(struct parser *parser)
{
    const struct group *group = current(parser);
    struct regexp_program *program = parser->program;
    size_t jump = group->last_jump;
    while (jump) {
        size_t before = (size_t) program->code[jump].argument;
        program->code[jump].argument = (int32_t) (program->count - jump);
        jump = before;
    }
}

static bool close_group(struct parser *parser)
{
    if (parser->depth == 0)
        return false;
    parser->stream.next++;
    join_alternatives(parser);
    const struct group *closed = &parser->groups[parser->depth--];
    struct group *group = current(parser);
    group->last = closed->heaviest;
    if (group->last > group->heaviest)
        group->heaviest = group->last;
    parser->item = closed->start;
    parser->can_repeat = true;
    return true;
}

static unsigned flag_of(char letter)
{
    switch (letter) {
    case 'i':
        return FLAG_CASELESS;
    case 'm':
        return FLAG_MULTILINE;
    case 's':
        return FLAG_DOT_ALL;
    default:
        return 0;
    }
}

/* (?i-s:...) or (?i-s); next is behind the question mark. U, which only changes what is found
 * first, is dropped. */
static bool write_flags(struct parser *parser)
{
    unsigned flags = current(parser)->flags;
    bool negative = false;
    bool seen = true;
    for (; *parser->stream.next != ':' && *parser->stream.next != ')'; parser->stream.next++) {
        char letter = *parser->stream.next;
        if (letter == '-' && !negative) {
            negative = true;
            seen = false;
            continue;
        }
        if (letter == '\0' || !strchr("imsU", letter))
            return false;
        seen = true;
        flags = negative ? flags & ~flag_of(letter) : flags | flag_of(letter);
    }
    parser->can_repeat = false;
    if (*parser->stream.next++ == ':')
        return seen && open_group(parser, flags);
    current(parser)->flags = flags;
    return seen;
}

static bool write_group_start(struct parser *parser)
{
    unsigned flags = current(parser)->flags;
    parser->stream.next++;
    if (*parser->stream.next != '?')
        return open_group(parser, flags);
    parser->stream.next++;
    const char *name = parser->stream.next + (*parser->stream.next == 'P');
    if (*name != '<')
        return write_flags(parser);
    name++;
    size_t length = strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
    if (length == 0 || name[length] != '>')
        return false;
    parser->stream.next = name + length + 1;
    return open_group(parser, flags);
}

/* A decimal number without leading zeros; stops growing where it is too large anyway. */
static bool read_count(const char **position, unsigned *out_count)
{
    const char *start = *position;
    unsigned count = 0;
    for (; **position >= '0' && **position <= '9'; (*position)++)
        count = count > REPEAT_MAX ? count : count * 10 + (unsigned) (**position - '0');
    *out_count = count;
    return *position > start && (*start != '0' || *position == start + 1);
}

/* At {n}, {n,} or {n,m}: moves *position behind it. Anything else is a literal brace. */
static bool read_braces(const char **position, unsigned *out_least, int *out_most)
{
    (*position)++;
    if (!read_count(position, out_least))
        return false;
    unsigned most = *out_least;
    *out_most = (int) most;
    if (**position == ',') {
        (*position)++;
        if (**position == '}')
            *out_most = REGEXP_UNLIMITED;
        else if (read_count(position, &most))
            *out_most = (int) most;
        else
            return false;
    }
    return *(*position)++ == '}';
}

/* next is at the operator, end behind it; a ? that makes it lazy changes nothing. */
static bool write_repetition(struct parser *parser, const char *end, unsigned least, int most)
{
    if (!parser->can_repeat)
        return false;
    parser->stream.next = end + (*end == '?');
    parser->can_repeat = false;
    return regexp_repeat(parser->program, parser->item, least, most);
}

static bool write_braces(struct parser *parser)
{
    unsigned least;
    int most;
    const char *end = parser->stream.next;
    if (!read_braces(&end, &least, &most)) {
        parser->stream.next++;
        return write_literal(parser, '{');
    }
    struct group *group = current(parser);
    unsigned often = most == REGEXP_UNLIMITED ? least : (unsigned) most;
    unsigned weight = group->last * (often > 0 ? often : 1);
    if (least > often || often > REPEAT_MAX || weight > REPEAT_MAX)
        return false;
    if (weight > group->heaviest)
        group->heaviest = weight;
    return write_repetition(parser, end, least, most);
}

static bool write_symbol(struct parser *parser)
{
    unsigned flags = current(parser)->flags;
    bool multiline = (flags & FLAG_MULTILINE) != 0;
    switch (*parser->stream.next++) {
    case '^':
        return emit_item(parser, REGEXP_ASSERT, multiline ? REGEXP_LINE_START : REGEXP_TEXT_START);
    case '$':
        return emit_item(parser, REGEXP_ASSERT, multiline ? REGEXP_LINE_END : REGEXP_TEXT_END);
    default:
        return emit_item(parser, flags & FLAG_DOT_ALL ? REGEXP_ANY : REGEXP_NOT_NEWLINE, 0);
    }
}

/* The alternative before begins with a way to the next one and ends with a way behind them all. */
static bool write_alternative(struct parser *parser)
{
    struct group *group = current(parser);
    struct regexp_program *program = parser->program;
    size_t length = program->count - group->branch;
    parser->stream.next++;
    parser->can_repeat = false;
    if (!regexp_insert(program, group->branch, REGEXP_SPLIT, (int32_t) length + 2) ||
        !regexp_emit(program, REGEXP_JUMP, (int32_t) group->last_jump))
        return false;
    group->last_jump = program->count - 1;
    group->branch = program->count;
    return true;
}

static bool write_next(struct parser *parser)
{
    uint32_t character;
    switch (*parser->stream.next) {
    case '(':
        return write_group_start(parser);
    case ')':
        return close_group(parser);
    case '|':
        return write_alternative(parser);
    case '[':
        return write_brackets(parser);
    case '\\':
        return write_backslash(parser);
    case '.':
    case '^':
    case '$':
        return write_symbol(parser);
    case '*':
    case '+':
        return write_repetition(parser, parser->stream.next + 1, *parser->stream.next == '+',
                                REGEXP_UNLIMITED);
    case '?':
        return write_repetition(parser, parser->stream.next + 1, 0, 1);
    case '{':
        return write_braces(parser);
    default:
        return regexp_read_character(&parser->stream, &character) &&
               write_literal(parser, character);
    }
}

bool regexp_syntax_compile(const char *pattern, struct regexp_program *out_program)
{
    struct parser parser = {
        .stream = {.next = pattern}, .program = out_program, .groups = {{.heaviest = 1}}};
    parser.stream.out = open_memstream(&parser.set_text, &parser.set_size);
    if (!parser.stream.out)
        return false;
    bool valid = true;
    while (valid && *parser.stream.next)
        valid = write_next(&parser);
    valid = fclose(parser.stream.out) == 0 && valid && parser.depth == 0;
    mem_free(&parser.set_text);
    if (!valid)
        return false;
    join_alternatives(&parser);
    return regexp_emit(out_program, REGEXP_MATCH, 0);
}
