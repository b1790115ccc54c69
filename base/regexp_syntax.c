/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp_syntax.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/regexp_set.h"

enum {
    NESTING_MAX = 200, /* PCRE2 stops at 250 */
    REPEAT_MAX = 1000  /* Go's limit, for nested repetitions together */
};

/*
 * The weight of an item is how often a repetition {n,m} inside it makes something happen; Go
 * refuses what is heavier than REPEAT_MAX.
 */
struct group {
    unsigned heaviest;
    unsigned last;
};

struct parser {
    struct regexp_stream stream;
    bool can_repeat; /* an item without a repetition stands right before */
    unsigned depth;
    struct group groups[NESTING_MAX];
};

static void add_item(struct parser *parser, unsigned weight)
{
    struct group *group = &parser->groups[parser->depth];
    group->last = weight;
    if (weight > group->heaviest)
        group->heaviest = weight;
    parser->can_repeat = true;
}

static void write_literal(struct parser *parser, uint32_t character)
{
    regexp_write_character(&parser->stream, character);
    add_item(parser, 1);
}

/* \Q...\E, next is behind the Q: every character is itself, to the end if there is no \E. */
static bool write_verbatim(struct parser *parser)
{
    const char *end = strstr(parser->stream.next, "\\E");
    const char *stop = end ? end : parser->stream.next + strlen(parser->stream.next);
    uint32_t character;
    while (parser->stream.next < stop) {
        if (!regexp_read_character(&parser->stream, &character))
            return false;
        write_literal(parser, character);
    }
    parser->stream.next = end ? end + 2 : stop;
    return true;
}

static bool write_backslash(struct parser *parser)
{
    if (regexp_at_set_escape(&parser->stream)) {
        (void) fputc('[', parser->stream.out);
        bool written = regexp_write_set_escape(&parser->stream);
        (void) fputc(']', parser->stream.out);
        add_item(parser, 1);
        return written;
    }
    char escape = *++parser->stream.next;
    if (escape && strchr("AbBz", escape)) {
        parser->stream.next++;
        (void) fprintf(parser->stream.out, "(?:\\%c)", escape);
        add_item(parser, 1);
        return true;
    }
    if (escape == 'Q') {
        parser->stream.next++;
        return write_verbatim(parser);
    }
    uint32_t character;
    if (!regexp_read_escape(&parser->stream, &character))
        return false;
    write_literal(parser, character);
    return true;
}

static bool open_group(struct parser *parser)
{
    if (parser->depth == NESTING_MAX - 1)
        return false;
    parser->groups[++parser->depth] = (struct group){.heaviest = 1};
    parser->can_repeat = false;
    return true;
}

static bool close_group(struct parser *parser)
{
    if (parser->depth == 0)
        return false;
    parser->stream.next++;
    (void) fputc(')', parser->stream.out);
    unsigned weight = parser->groups[parser->depth--].heaviest;
    add_item(parser, weight);
    return true;
}

/* (?i-s:...) or (?i-s); next is behind the question mark. U, which only changes what is found
 * first, is dropped. */
static bool write_flags(struct parser *parser)
{
    char flags[2][4] = {"", ""};
    bool negative = false;
    bool seen = true;
    for (; *parser->stream.next != ':' && *parser->stream.next != ')'; parser->stream.next++) {
        char flag = *parser->stream.next;
        if (flag == '-' && !negative) {
            negative = true;
            seen = false;
            continue;
        }
        if (flag == '\0' || !strchr("imsU", flag))
            return false;
        seen = true;
        size_t length = strlen(flags[negative]);
        if (flag != 'U' && !strchr(flags[negative], flag))
            flags[negative][length] = flag;
    }
    (void) fprintf(parser->stream.out, "(?%s%s%s%c", flags[0], flags[1][0] ? "-" : "", flags[1],
                   *parser->stream.next);
    bool opens = *parser->stream.next++ == ':';
    parser->can_repeat = false;
    return seen && (!opens || open_group(parser));
}

static bool write_group_start(struct parser *parser)
{
    parser->stream.next++;
    if (*parser->stream.next != '?') {
        (void) fputs("(?:", parser->stream.out);
        return open_group(parser);
    }
    parser->stream.next++;
    const char *name = parser->stream.next + (*parser->stream.next == 'P');
    if (*name != '<')
        return write_flags(parser);
    name++;
    size_t length = strspn(name, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
    if (length == 0 || name[length] != '>')
        return false;
    parser->stream.next = name + length + 1;
    (void) fputs("(?:", parser->stream.out);
    return open_group(parser);
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
static bool read_braces(const char **position, unsigned *out_least, unsigned *out_most)
{
    (*position)++;
    if (!read_count(position, out_least))
        return false;
    *out_most = *out_least;
    if (**position == ',') {
        (*position)++;
        *out_most = *out_least;
        if (**position != '}' && !read_count(position, out_most))
            return false;
    }
    return *(*position)++ == '}';
}

/* Copies the operator up to end, and the ? that makes it lazy. */
static bool write_repetition(struct parser *parser, const char *end)
{
    if (!parser->can_repeat)
        return false;
    end += *end == '?';
    (void) fwrite(parser->stream.next, 1, (size_t) (end - parser->stream.next), parser->stream.out);
    parser->stream.next = end;
    parser->can_repeat = false;
    return true;
}

static bool write_braces(struct parser *parser)
{
    unsigned least;
    unsigned most;
    const char *end = parser->stream.next;
    if (!read_braces(&end, &least, &most)) {
        parser->stream.next++;
        write_literal(parser, '{');
        return true;
    }
    struct group *group = &parser->groups[parser->depth];
    unsigned factor = most > 0 ? most : 1;
    if (least > most || most > REPEAT_MAX || group->last * factor > REPEAT_MAX)
        return false;
    unsigned weight = group->last * factor;
    bool written = write_repetition(parser, end);
    if (weight > group->heaviest)
        group->heaviest = weight;
    return written;
}

static bool write_symbol(struct parser *parser)
{
    char symbol = *parser->stream.next++;
    (void) fprintf(parser->stream.out, symbol == '.' ? "%c" : "(?:%c)", symbol);
    add_item(parser, 1);
    return true;
}

static bool write_alternative(struct parser *parser)
{
    (void) fputc(*parser->stream.next++, parser->stream.out);
    parser->can_repeat = false;
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
        add_item(parser, 1);
        return regexp_write_brackets(&parser->stream);
    case '\\':
        return write_backslash(parser);
    case '.':
    case '^':
    case '$':
        return write_symbol(parser);
    case '*':
    case '+':
    case '?':
        return write_repetition(parser, parser->stream.next + 1);
    case '{':
        return write_braces(parser);
    default:
        if (!regexp_read_character(&parser->stream, &character))
            return false;
        write_literal(parser, character);
        return true;
    }
}

char *regexp_syntax_to_pcre2(const char *pattern)
{
    char *text = NULL;
    size_t length = 0;
    struct parser parser = {.stream = {.next = pattern, .out = open_memstream(&text, &length)},
                            .groups = {{.heaviest = 1}}};
    if (!parser.stream.out)
        return NULL;
    bool valid = true;
    while (valid && *parser.stream.next)
        valid = write_next(&parser);
    if (fclose(parser.stream.out) != 0 || !valid || parser.depth != 0)
        mem_free(&text);
    return text;
}
