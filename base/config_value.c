/* SPDX-License-Identifier: Apache-2.0 */
#include "base/config_value.h"

#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"

static int fail(struct error *error, const char *problem)
{
    return error_set(error, ERROR_INVALID, "%s", problem);
}

/* \uXXXX and \UXXXXXXXX: writes the character to *out. NUL would cut the string short. */
static bool decode_character(const char **in, size_t digits, char **out)
{
    uint32_t character = 0;
    for (size_t i = 0; i < digits; i++, (*in)++) {
        unsigned digit = hex_digit_value(**in);
        if (digit == 16)
            return false;
        character = character << 4 | digit;
    }
    char bytes[UTF8_LONGEST];
    size_t size = character != 0 ? utf8_encode(character, bytes) : 0;
    memcpy(*out, bytes, size);
    *out += size;
    return size > 0;
}

/* *in is behind the backslash. What is written is never longer than what was read. */
static bool decode_escape(const char **in, char **out)
{
    static const char names[] = "btnfr\"\\";
    static const char meanings[] = "\b\t\n\f\r\"\\";
    char escape = **in;
    if (escape == '\0')
        return false;
    (*in)++;
    if (escape == 'u' || escape == 'U')
        return decode_character(in, escape == 'u' ? 4 : 8, out);
    const char *name = strchr(names, escape);
    if (!name)
        return false;
    *(*out)++ = meanings[name - names];
    return true;
}

static bool is_control(char character)
{
    return ((unsigned char) character < ' ' && character != '\t') || character == 0x7f;
}

/* *next is at the opening quote, which also closes. Only "" has escapes. */
static int parse_string(char **next, struct config_value *out_value, struct error *error)
{
    char quote = **next;
    const char *in = *next + 1;
    char *out = *next;
    if (in[0] == quote && in[1] == quote)
        return fail(error, "strings of several lines are not accepted, write one line in \"\"");
    while (*in != quote) {
        if (*in == '\0')
            return fail(error, "the string has no closing quote in its line");
        if (is_control(*in))
            return fail(error, "a control character in a string, write it as \\u00XX in \"\"");
        if (*in != '\\' || quote == '\'') {
            *out++ = *in++;
            continue;
        }
        in++;
        if (!decode_escape(&in, &out))
            return fail(error, "unknown escape: accepted are \\b \\t \\n \\f \\r \\\" \\\\ \\uXXXX "
                               "\\UXXXXXXXX; for a plain \\ use '' quotes");
    }
    *out_value = (struct config_value){.type = CONFIG_STRING, .string = *next};
    *next += in + 1 - *next;
    *out = '\0';
    return 0;
}

/* 0x, 0o and 0b; moves *text behind it. */
static unsigned read_base(const char **text)
{
    static const char letters[] = "xob";
    static const unsigned bases[] = {16, 8, 2};
    const char *letter = (*text)[0] == '0' && (*text)[1] ? strchr(letters, (*text)[1]) : NULL;
    if (!letter)
        return 10;
    *text += 2;
    return bases[letter - letters];
}

/* Digits with single underscores between them, up to end. False if they are not that. */
static bool read_digits(const char *text, const char *end, unsigned base, uint64_t *out_number,
                        bool *out_overflow)
{
    uint64_t number = 0;
    bool overflow = false;
    bool after_digit = false;
    for (; text < end; text++) {
        unsigned digit = hex_digit_value(*text);
        if (*text == '_' ? !after_digit : digit >= base)
            return false;
        after_digit = *text != '_';
        if (after_digit)
            overflow |= __builtin_mul_overflow(number, base, &number) ||
                        __builtin_add_overflow(number, digit, &number);
    }
    *out_number = number;
    *out_overflow = overflow;
    return after_digit;
}

static int parse_integer(const char *text, const char *end, struct config_value *out_value,
                         struct error *error)
{
    bool is_signed = *text == '-' || *text == '+';
    bool negative = *text == '-';
    text += is_signed;
    unsigned base = is_signed ? 10 : read_base(&text);
    bool leading_zero = base == 10 && *text == '0' && end - text > 1;
    uint64_t number;
    bool overflow;
    if (leading_zero || !read_digits(text, end, base, &number, &overflow))
        return fail(error, "expected a value: \"text\", 'text', true, false or a whole number like "
                           "42, -1, 1_000, 0x1f or 0o600");
    if (overflow || number > (uint64_t) INT64_MAX + negative)
        return fail(error, "the number does not fit into 64 bits");
    *out_value = (struct config_value){.type = CONFIG_INTEGER};
    out_value->integer = negative ? (int64_t) (0 - number) : (int64_t) number;
    return 0;
}

int config_value_parse(char **next, struct config_value *out_value, struct error *error)
{
    if (**next == '"' || **next == '\'')
        return parse_string(next, out_value, error);
    const char *word = *next;
    size_t length = strcspn(word, " \t#");
    *next += length;
    bool is_true = length == 4 && memcmp(word, "true", length) == 0;
    bool is_false = length == 5 && memcmp(word, "false", length) == 0;
    if (!is_true && !is_false)
        return parse_integer(word, word + length, out_value, error);
    *out_value = (struct config_value){.type = CONFIG_BOOLEAN, .boolean = is_true};
    return 0;
}
