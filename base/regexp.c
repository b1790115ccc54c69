/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/regexp_charset.h"
#include "base/regexp_syntax.h"
#include "base/utf8.h"

/* Between two looks at the clock; far less than a millisecond. */
enum { STEPS_PER_CHECK = 20000, ASCII = 128 };

/* No character: before the text and behind it. */
#define NOTHING UINT32_MAX

struct regexp {
    struct regexp_program program;
};

struct regexp *regexp_new(const char *pattern)
{
    struct regexp *regexp = mem_alloc(sizeof *regexp);
    if (!regexp_syntax_compile(pattern, &regexp->program)) {
        regexp_free(regexp);
        return NULL;
    }
    return regexp;
}

void regexp_free(struct regexp *regexp)
{
    if (!regexp)
        return;
    regexp_program_clear(&regexp->program);
    mem_free(&regexp);
}

enum answer { UNKNOWN, YES, NO };

size_t regexp_size(const struct regexp *regexp)
{
    return regexp ? regexp->program.count : 0;
}

/* What a search learnt about a set: asking PCRE2 is slow. */
struct answers {
    uint8_t ascii[ASCII]; /* enum answer */
    uint32_t other;       /* the last one asked for beyond them */
    bool other_answer;
};

/* Instructions to be looked at. A search adds at most two for each that it has not seen yet at this
 * place in the text, so that the array never ends. */
struct agenda {
    uint32_t *items;
    size_t count;
};

struct search {
    const struct regexp_program *program;
    const char *text;   /* where the current character stands */
    size_t size;        /* of that, in bytes */
    uint32_t character; /* the current one, or NOTHING */
    uint32_t previous;
    uint32_t place; /* how many characters were before, and one */
    uint32_t *seen; /* for each instruction: the last place at which it was looked at */
    struct agenda now;
    struct agenda next;
    struct answers *answers; /* for each set */
    size_t steps;            /* since the last look at the clock */
};

static void agenda_add(struct agenda *agenda, size_t instruction)
{
    agenda->items[agenda->count++] = (uint32_t) instruction;
}

static bool ask(struct search *search, int32_t set)
{
    return regexp_charset_has(search->program->sets[set], search->text, search->size);
}

static bool set_has(struct search *search, int32_t set)
{
    struct answers *answers = &search->answers[set];
    uint32_t character = search->character;
    if (character < ASCII) {
        if (answers->ascii[character] == UNKNOWN)
            answers->ascii[character] = ask(search, set) ? YES : NO;
        return answers->ascii[character] == YES;
    }
    if (answers->other != character) {
        answers->other = character;
        answers->other_answer = ask(search, set);
    }
    return answers->other_answer;
}

/* Does the current character, which there is, match? */
static bool takes(struct search *search, const struct regexp_instruction *instruction)
{
    switch (instruction->operation) {
    case REGEXP_CHARACTER:
        return search->character == (uint32_t) instruction->argument;
    case REGEXP_ANY:
        return true;
    case REGEXP_NOT_NEWLINE:
        return search->character != '\n';
    case REGEXP_SET:
        return set_has(search, instruction->argument);
    default:
        return false;
    }
}

static bool is_word(uint32_t character)
{
    return (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z') ||
           character == '_' || (character >= 'a' && character <= 'z');
}

static bool holds(const struct search *search, enum regexp_assertion assertion)
{
    bool boundary = is_word(search->previous) != is_word(search->character);
    switch (assertion) {
    case REGEXP_TEXT_START:
        return search->previous == NOTHING;
    case REGEXP_TEXT_END:
        return search->character == NOTHING;
    case REGEXP_LINE_START:
        return search->previous == NOTHING || search->previous == '\n';
    case REGEXP_LINE_END:
        return search->character == NOTHING || search->character == '\n';
    case REGEXP_WORD_BOUNDARY:
        return boundary;
    case REGEXP_NO_WORD_BOUNDARY:
        return !boundary;
    }
    return false;
}

/* Looks at one instruction. True at a match. */
static bool step(struct search *search, size_t at)
{
    const struct regexp_instruction *instruction = &search->program->code[at];
    size_t target = at + (size_t) (ptrdiff_t) instruction->argument;
    if (search->seen[at] == search->place)
        return false;
    search->seen[at] = search->place;
    search->steps++;
    switch (instruction->operation) {
    case REGEXP_MATCH:
        return true;
    case REGEXP_SPLIT:
        agenda_add(&search->now, at + 1);
        agenda_add(&search->now, target);
        return false;
    case REGEXP_JUMP:
        agenda_add(&search->now, target);
        return false;
    case REGEXP_ASSERT:
        if (holds(search, (enum regexp_assertion) instruction->argument))
            agenda_add(&search->now, at + 1);
        return false;
    default:
        if (search->character != NOTHING && takes(search, instruction))
            agenda_add(&search->next, at + 1);
        return false;
    }
}

/* All ways at one place in the text; one more begins here. True at a match. */
static bool visit(struct search *search)
{
    agenda_add(&search->now, 0);
    while (search->now.count > 0) {
        if (step(search, search->now.items[--search->now.count]))
            return true;
    }
    return false;
}

static void advance(struct search *search)
{
    struct agenda done = search->now;
    search->now = search->next;
    search->next = done;
    search->previous = search->character;
    search->text += search->size;
    search->place++;
}

static int run(struct search *search, size_t left, const struct patience *patience)
{
    for (;;) {
        search->size = utf8_decode(search->text, left, &search->character);
        if (left == 0)
            search->character = NOTHING;
        if (visit(search))
            return 1;
        if (left == 0)
            return 0;
        left -= search->size;
        advance(search);
        if (search->steps > STEPS_PER_CHECK) {
            int code = patience_check(patience);
            if (code != 0)
                return code;
            search->steps = 0;
        }
    }
}

int regexp_match_until(const struct regexp *regexp, const char *text,
                       const struct patience *patience)
{
    size_t length = strlen(text);
    if (!regexp || length >= UINT32_MAX || !utf8_valid(text, length))
        return 0;
    const struct regexp_program *program = &regexp->program;
    size_t agenda_size = 2 * program->count + 2;
    owned(mem_free) uint32_t *numbers =
        mem_alloc_array(program->count + 2 * agenda_size, sizeof *numbers);
    owned(mem_free) struct answers *answers = mem_alloc_array(program->set_count, sizeof *answers);
    struct search search = {.program = program,
                            .text = text,
                            .previous = NOTHING,
                            .place = 1,
                            .seen = numbers,
                            .now.items = numbers + program->count,
                            .next.items = numbers + program->count + agenda_size,
                            .answers = answers};
    return run(&search, length, patience);
}

bool regexp_matches(const struct regexp *regexp, const char *text)
{
    return regexp_match_until(regexp, text, NULL) == 1;
}
