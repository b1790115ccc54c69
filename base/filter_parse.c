/* SPDX-License-Identifier: Apache-2.0 */
#include "base/filter_parse.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/filter_scan.h"
#include "base/mem.h"
#include "base/regexp.h"
#include "base/utf8.h"

struct parser {
    struct filter_scanner scanner;
    struct filter *filter;
    struct error *error;
};

static int fail(struct parser *parser, const char *problem)
{
    const struct filter_scanner *scanner = &parser->scanner;
    return error_set(parser->error, ERROR_INVALID, "bad filter: %s at byte %zu of: %s", problem,
                     scanner->position + 1, scanner->text);
}

static int parse_quoted(struct parser *parser, const char **out_text)
{
    const char *problem = filter_scan_quoted(&parser->scanner, out_text);
    return problem ? fail(parser, problem) : 0;
}

static void add_element(struct filter *filter, const char *text)
{
    if (filter->element_count == filter->element_capacity) {
        filter->element_capacity = filter->element_capacity ? filter->element_capacity * 2 : 4;
        filter->elements =
            mem_resize(filter->elements, filter->element_capacity, sizeof *filter->elements);
    }
    filter->elements[filter->element_count++] = text;
}

static void add_selector(struct filter *filter, struct filter_selector selector)
{
    if (filter->selector_count == filter->selector_capacity) {
        filter->selector_capacity = filter->selector_capacity ? filter->selector_capacity * 2 : 2;
        filter->selectors =
            mem_resize(filter->selectors, filter->selector_capacity, sizeof *filter->selectors);
    }
    filter->selectors[filter->selector_count++] = selector;
}

static int parse_field(struct parser *parser)
{
    const char *text;
    filter_skip_space(&parser->scanner);
    if (filter_peek(&parser->scanner) == '"') {
        int code = parse_quoted(parser, &text);
        if (code != 0)
            return code;
    } else {
        text = filter_scan_field(&parser->scanner);
        if (!text)
            return fail(parser, "expected a field name of letters, digits and _ or one in \"\"");
    }
    add_element(parser->filter, text);
    return 0;
}

static int parse_path(struct parser *parser, struct filter_selector *selector)
{
    selector->first_element = parser->filter->element_count;
    int code = parse_field(parser);
    while (code == 0 && filter_peek(&parser->scanner) == '.') {
        parser->scanner.position++;
        code = parse_field(parser);
    }
    selector->element_count = parser->filter->element_count - selector->first_element;
    return code;
}

static int parse_operator(struct parser *parser, enum filter_operator *out_operator)
{
    static const char *const names[] = {
        [FILTER_EQUAL] = "==", [FILTER_NOT_EQUAL] = "!=", [FILTER_MATCHES] = "~="};
    filter_skip_space(&parser->scanner);
    const char *text = parser->scanner.text + parser->scanner.position;
    size_t length = strspn(text, "=!~"); /* all of them: "===" is an error */
    for (size_t i = FILTER_EQUAL; length == 2 && i <= FILTER_MATCHES; i++) {
        if (memcmp(text, names[i], length) == 0) {
            *out_operator = (enum filter_operator) i;
            parser->scanner.position += length;
            return 0;
        }
    }
    return fail(parser, "expected ==, != or ~=");
}

static int parse_value(struct parser *parser, struct filter_selector *selector)
{
    filter_skip_space(&parser->scanner);
    uint32_t character = filter_peek(&parser->scanner);
    if (character == '"')
        return parse_quoted(parser, &selector->value);
    if (character == '/' || character == '|') {
        if (selector->operator_kind != FILTER_MATCHES)
            return fail(parser, "only ~= takes a value in // or ||; expected a value");
        return parse_quoted(parser, &selector->value);
    }
    selector->value = filter_scan_value(&parser->scanner);
    return selector->value ? 0 : fail(parser, "expected a value");
}

static int parse_selector(struct parser *parser)
{
    struct filter_selector selector = {.operator_kind = FILTER_PRESENT, .value = ""};
    int code = parse_path(parser, &selector);
    if (code != 0)
        return code;
    uint32_t next = filter_peek(&parser->scanner);
    if (next != ',' && next != FILTER_END) {
        code = parse_operator(parser, &selector.operator_kind);
        if (code == 0)
            code = parse_value(parser, &selector);
    }
    if (code == 0)
        add_selector(parser->filter, selector);
    return code;
}

int filter_parse(const char *text, struct filter *out_filter, struct error *error)
{
    size_t length = strlen(text);
    if (length == 0)
        return 0;
    /* containerd cannot tell U+FFFD from what its decoder puts in place of malformed bytes. */
    if (!utf8_valid(text, length) || strstr(text, "\xef\xbf\xbd"))
        return error_set(error, ERROR_INVALID, "bad filter: not valid UTF-8, or has U+FFFD");
    /* Each text is shorter than its source by a delimiter or at least the end of the filter. */
    out_filter->texts = mem_alloc(length + 1);
    struct parser parser = {
        .scanner = {.text = text, .length = length, .out = out_filter->texts},
        .filter = out_filter,
        .error = error,
    };
    int code = parse_selector(&parser);
    while (code == 0 && filter_peek(&parser.scanner) == ',') {
        parser.scanner.position++;
        code = parse_selector(&parser);
    }
    if (code == 0 && filter_peek(&parser.scanner) != FILTER_END)
        code = fail(&parser, "expected a comma or the end");
    return code;
}

void filter_clear(struct filter *filter)
{
    for (size_t i = 0; i < filter->selector_count; i++)
        regexp_free(filter->selectors[i].regexp);
    mem_free(&filter->selectors);
    mem_free(&filter->elements);
    mem_free(&filter->texts);
    *filter = (struct filter){0};
}
