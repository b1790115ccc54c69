/* SPDX-License-Identifier: Apache-2.0 */
#include "base/filter_scan.h"

#include <stdbool.h>
#include <string.h>

#include "base/hex.h"
#include "base/unicode.h"
#include "base/utf8.h"

/* Returns 0 at the end. */
static size_t read_character(const struct filter_scanner *scanner, uint32_t *out_character)
{
    *out_character = FILTER_END;
    return utf8_decode(scanner->text + scanner->position, scanner->length - scanner->position,
                       out_character);
}

uint32_t filter_peek(const struct filter_scanner *scanner)
{
    uint32_t character;
    (void) read_character(scanner, &character);
    return character;
}

/* Unicode's White_Space. */
static bool is_space(uint32_t character)
{
    if (character < 0x100)
        return character == ' ' || (character >= '\t' && character <= '\r') || character == 0x85 ||
               character == 0xa0;
    return character == 0x1680 || (character >= 0x2000 && character <= 0x200a) ||
           character == 0x2028 || character == 0x2029 || character == 0x202f ||
           character == 0x205f || character == 0x3000;
}

void filter_skip_space(struct filter_scanner *scanner)
{
    uint32_t character;
    size_t size = read_character(scanner, &character);
    while (size > 0 && is_space(character)) {
        scanner->position += size;
        size = read_character(scanner, &character);
    }
}

static void append(struct filter_scanner *scanner, const char *bytes, size_t size)
{
    memcpy(scanner->out, bytes, size);
    scanner->out += size;
}

/* Copies the next size bytes of the text and moves behind them. */
static void take(struct filter_scanner *scanner, size_t size)
{
    append(scanner, scanner->text + scanner->position, size);
    scanner->position += size;
}

static void terminate(struct filter_scanner *scanner)
{
    *scanner->out++ = '\0';
}

const char *filter_scan_field(struct filter_scanner *scanner)
{
    const char *start = scanner->out;
    size_t length = strspn(scanner->text + scanner->position,
                           "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
    if (length == 0)
        return NULL;
    take(scanner, length);
    terminate(scanner);
    return start;
}

const char *filter_scan_value(struct filter_scanner *scanner)
{
    const char *start = scanner->out;
    uint32_t character;
    size_t size = read_character(scanner, &character);
    bool starts = size > 0 && !is_space(character) &&
                  (character >= 0x80 || !strchr("\"/|,.=!~", (int) character));
    if (!starts)
        return NULL;
    take(scanner, size);
    const char *rest = scanner->text + scanner->position;
    take(scanner, unicode_graphic_span(rest, strcspn(rest, ",")));
    terminate(scanner);
    return start;
}

/* Reads exactly count digits; the terminating NUL of the text is not one. */
static bool read_number(struct filter_scanner *scanner, unsigned base, size_t count,
                        uint32_t *out_number)
{
    uint32_t number = 0;
    for (size_t i = 0; i < count; i++) {
        unsigned digit = hex_digit_value(scanner->text[scanner->position]);
        if (digit >= base)
            return false;
        number = number * base + digit;
        scanner->position++;
    }
    *out_number = number;
    return number != 0;
}

/* \ooo and \xhh are bytes, which may or may not add up to UTF-8. */
static bool append_byte(struct filter_scanner *scanner, uint32_t byte)
{
    if (byte > 0xff)
        return false;
    *scanner->out++ = (char) byte;
    return true;
}

/* \u and \U are characters; half of a surrogate pair becomes U+FFFD as in Go. */
static bool append_character(struct filter_scanner *scanner, uint32_t character)
{
    char bytes[UTF8_LONGEST];
    bool surrogate = character >= 0xd800 && character <= 0xdfff;
    size_t size = utf8_encode(surrogate ? 0xfffd : character, bytes);
    append(scanner, bytes, size);
    return size > 0;
}

/* position is behind the backslash. */
static bool scan_escape(struct filter_scanner *scanner, char quote)
{
    static const char names[] = "abfnrtv\\";
    static const char meanings[] = "\a\b\f\n\r\t\v\\";
    char escape = scanner->text[scanner->position];
    const char *name = escape ? strchr(names, escape) : NULL;
    uint32_t number;
    if (escape >= '0' && escape <= '7')
        return read_number(scanner, 8, 3, &number) && append_byte(scanner, number);
    if (escape == '\0')
        return false;
    scanner->position++;
    if (escape == 'x')
        return read_number(scanner, 16, 2, &number) && append_byte(scanner, number);
    if (escape == 'u' || escape == 'U')
        return read_number(scanner, 16, escape == 'u' ? 4 : 8, &number) &&
               append_character(scanner, number);
    if (!name && escape != quote)
        return false;
    if (name)
        *scanner->out++ = meanings[name - names];
    else
        *scanner->out++ = quote;
    return true;
}

const char *filter_scan_quoted(struct filter_scanner *scanner, const char **out_text)
{
    const char *start = scanner->out;
    char quote = scanner->text[scanner->position++];
    uint32_t character;
    size_t size = read_character(scanner, &character);
    while (character != (unsigned char) quote) {
        if (size == 0 || character == '\n')
            return "expected the closing quote";
        if (character != '\\') {
            take(scanner, size);
        } else {
            scanner->position++;
            if (!scan_escape(scanner, quote))
                return "unknown escape";
        }
        size = read_character(scanner, &character);
    }
    scanner->position++;
    terminate(scanner);
    *out_text = start;
    return NULL;
}
