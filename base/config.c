/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config.h"

#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/config_value.h"
#include "base/labels.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { FILE_BYTES_MAX = 1 << 20, NAMES_MAX = 1024 };

#define BYTE_ORDER_MARK "\xef\xbb\xbf"

struct parser {
    config_handler *handler;
    void *context;
    char *section;
    struct labels seen; /* "[section]" and "[section]key", each with the line that has it */
    size_t line_number;
    struct error error;
};

static void parser_clear(struct parser *parser)
{
    mem_free(&parser->section);
    labels_clear(&parser->seen);
}

static int fail(struct parser *parser, const char *problem)
{
    return error_set(&parser->error, ERROR_INVALID, "%s", problem);
}

/* Takes name. */
static int remember(struct parser *parser, char *name)
{
    owned(mem_free) char *taken = name;
    const char *earlier = labels_get(&parser->seen, taken);
    if (earlier)
        return error_set(&parser->error, ERROR_INVALID,
                         "already given in line %s, keep one of them: %s", earlier, taken);
    if (parser->seen.count == NAMES_MAX)
        return fail(parser, "too many keys and sections, the limit is 1024");
    char line[24];
    (void) snprintf(line, sizeof line, "%zu", parser->line_number);
    labels_set(&parser->seen, taken, line);
    return 0;
}

static char *skip_blanks(char *text)
{
    return text + strspn(text, " \t");
}

static bool is_end(const char *text)
{
    return *text == '\0' || *text == '#';
}

static size_t name_length(const char *text)
{
    return strspn(text, "-0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
}

/* text is behind the opening bracket. */
static int parse_section(struct parser *parser, char *text)
{
    char *next = skip_blanks(text);
    size_t length = name_length(next);
    while (length > 0 && next[length] == '.' && name_length(next + length + 1) > 0)
        length += 1 + name_length(next + length + 1);
    char *after = skip_blanks(next + length);
    if (length == 0 || *after != ']' || !is_end(skip_blanks(after + 1)))
        return fail(parser, "expected [section] or [section.sub], with names of letters, digits, "
                            "- and _");
    mem_free(&parser->section);
    parser->section = mem_strndup(next, length);
    return remember(parser, mem_printf("[%s]", parser->section));
}

static int parse_setting(struct parser *parser, char *text)
{
    size_t length = name_length(text);
    char *equals = skip_blanks(text + length);
    if (length == 0 || *equals != '=')
        return fail(parser, "expected key = value, [section] or # comment; a key is made of "
                            "letters, digits, - and _");
    struct config_value value;
    char *next = skip_blanks(equals + 1);
    int code = config_value_parse(&next, &value, &parser->error);
    if (code != 0)
        return code;
    if (!is_end(skip_blanks(next)))
        return fail(parser, "expected the end of the line or a # comment after the value");
    text[length] = '\0';
    code = remember(parser, mem_printf("[%s]%s", parser->section, text));
    if (code != 0)
        return code;
    return parser->handler(parser->context, parser->section, text, &value, &parser->error);
}

/* The line may be changed. */
static int parse_line(struct parser *parser, char *line, size_t length)
{
    if (!utf8_valid(line, length) || memchr(line, '\0', length))
        return fail(parser, "not valid UTF-8 text: save the file as UTF-8");
    if (length > 0 && line[length - 1] == '\r')
        line[length - 1] = '\0';
    char *text = skip_blanks(line);
    if (is_end(text))
        return 0;
    return *text == '[' ? parse_section(parser, text + 1) : parse_setting(parser, text);
}

static int parse_lines(struct parser *parser, const char *text, size_t length)
{
    const char *end = text + length;
    while (text < end) {
        const char *newline = memchr(text, '\n', (size_t) (end - text));
        const char *stop = newline ? newline : end;
        size_t line_length = (size_t) (stop - text);
        owned(mem_free) char *line = mem_alloc(line_length + 1);
        memcpy(line, text, line_length);
        parser->line_number++;
        int code = parse_line(parser, line, line_length);
        if (code != 0)
            return code;
        text = newline ? newline + 1 : end;
    }
    return 0;
}

int config_parse(const char *file_name, const char *text, size_t length, config_handler *handler,
                 void *context, struct error *error)
{
    if (length > FILE_BYTES_MAX)
        return error_set(error, ERROR_INVALID, "%s: larger than 1 MiB, which no configuration is",
                         file_name);
    size_t mark = strlen(BYTE_ORDER_MARK);
    if (length >= mark && memcmp(text, BYTE_ORDER_MARK, mark) == 0) {
        text += mark;
        length -= mark;
    }
    owned(parser_clear) struct parser parser = {
        .handler = handler, .context = context, .section = mem_strdup("")};
    int code = parse_lines(&parser, text, length);
    if (code == 0)
        return 0;
    (void) error_wrap(&parser.error, "%s:%zu", file_name, parser.line_number);
    if (error)
        *error = parser.error;
    return code;
}

static void close_file(FILE **file)
{
    if (*file)
        (void) fclose(*file); /* only read */
}

int config_load(const char *path, config_handler *handler, void *context, struct error *error)
{
    owned(close_file) FILE *file = fopen(path, "re");
    if (!file)
        return error_errno(error, "cannot open the configuration %s", path);
    owned(mem_free) char *text = mem_alloc(FILE_BYTES_MAX + 1);
    size_t length = fread(text, 1, FILE_BYTES_MAX + 1, file);
    if (ferror(file))
        return error_errno(error, "cannot read the configuration %s", path);
    return config_parse(path, text, length, handler, context, error);
}
