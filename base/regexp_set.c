/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp_set.h"

#include <string.h>

#include "base/hex.h"
#include "base/utf8.h"

enum { NAME_MAX_BYTES = 32 };

/* Letters and digits never mean more than themselves; all others are written by number. */
static bool is_plain(uint32_t character)
{
    return (character >= '0' && character <= '9') || (character >= 'A' && character <= 'Z') ||
           (character >= 'a' && character <= 'z');
}

void regexp_write_character(struct regexp_stream *stream, uint32_t character)
{
    if (is_plain(character))
        (void) fputc((int) character, stream->out);
    else
        (void) fprintf(stream->out, "\\x{%x}", character);
}

bool regexp_read_character(struct regexp_stream *stream, uint32_t *out_character)
{
    size_t size = utf8_decode(stream->next, strlen(stream->next), out_character);
    stream->next += size;
    return size > 0;
}

/* \x{10ffff}: next is behind the brace. */
static bool read_braced_hex(struct regexp_stream *stream, uint32_t *out_character)
{
    uint32_t value = 0;
    const char *start = stream->next;
    for (; hex_digit_value(*stream->next) < 16; stream->next++) {
        value = value * 16 + hex_digit_value(*stream->next);
        if (value > 0x10ffff)
            return false;
    }
    *out_character = value;
    return stream->next > start && *stream->next++ == '}';
}

static bool read_hex(struct regexp_stream *stream, uint32_t *out_character)
{
    if (*stream->next == '{') {
        stream->next++;
        return read_braced_hex(stream, out_character);
    }
    unsigned high = hex_digit_value(stream->next[0]);
    unsigned low = high < 16 ? hex_digit_value(stream->next[1]) : 16;
    if (low == 16)
        return false;
    stream->next += 2;
    *out_character = high * 16 + low;
    return true;
}

/* \0 with up to two digits more, or two or three digits: a single one would be a back reference. */
static bool read_octal(struct regexp_stream *stream, uint32_t *out_character)
{
    const char *start = stream->next;
    uint32_t value = 0;
    while (stream->next - start < 3 && hex_digit_value(*stream->next) < 8)
        value = value * 8 + hex_digit_value(*stream->next++);
    *out_character = value;
    return *start == '0' || stream->next - start > 1;
}

bool regexp_read_escape(struct regexp_stream *stream, uint32_t *out_character)
{
    static const char names[] = "afnrtv";
    static const char characters[] = "\a\f\n\r\t\v";
    char escape = *stream->next;
    const char *name = escape ? strchr(names, escape) : NULL;
    if (escape >= '0' && escape <= '7')
        return read_octal(stream, out_character);
    if ((unsigned char) escape >= 0x80 || escape == '\0')
        return false;
    stream->next++;
    if (escape == 'x')
        return read_hex(stream, out_character);
    *out_character = name ? (uint32_t) characters[name - names] : (uint32_t) escape;
    return name || !is_plain((uint32_t) escape);
}

static bool is_category(const char *name)
{
    static const char known[] = " C L M N P S Z Cc Cf Co Cs Ll Lm Lo Lt Lu Mc Me Mn Nd Nl No "
                                "Pc Pd Pe Pf Pi Po Ps Sc Sk Sm So Zl Zp Zs ";
    char word[8];
    (void) snprintf(word, sizeof word, " %.3s ", name);
    return strstr(known, word) != NULL;
}

/* PCRE2 also knows scripts by codes of four letters, Go by their names only. */
static bool is_script(const char *name)
{
    static const char short_names[] = " Ahom Cham Kawi Lisu Miao Modi Newa Thai Toto ";
    if (name[0] < 'A' || name[0] > 'Z')
        return false;
    if (strlen(name) == 4)
        return strstr(short_names, name) != NULL;
    return strlen(name) > 2 || strcmp(name, "Yi") == 0;
}

/* Fills name from \pN or \p{Name}; next is behind the p. */
static bool read_property(struct regexp_stream *stream, bool *negated, char name[NAME_MAX_BYTES])
{
    const char *start = stream->next;
    size_t length = 1;
    if (*start == '{') {
        start++;
        if (*start == '^') {
            *negated = !*negated;
            start++;
        }
        length = strspn(start, "ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz");
        if (length == 0 || length >= NAME_MAX_BYTES || start[length] != '}')
            return false;
    }
    if (*start == '\0')
        return false;
    (void) snprintf(name, NAME_MAX_BYTES, "%.*s", (int) length, start);
    stream->next = start + length + (*stream->next == '{');
    return true;
}

static bool write_property(struct regexp_stream *stream, bool negated)
{
    char name[NAME_MAX_BYTES];
    if (!read_property(stream, &negated, name))
        return false;
    char letter = negated ? 'P' : 'p';
    if (strcmp(name, "C") == 0) /* to Go, unassigned characters are of no category */
        (void) fputs(negated ? "\\P{C}\\p{Cn}" : "\\p{Cc}\\p{Cf}\\p{Co}\\p{Cs}", stream->out);
    else if (strcmp(name, "Any") == 0 || is_category(name))
        (void) fprintf(stream->out, "\\%c{%s}", letter, name);
    else if (is_script(name))
        (void) fprintf(stream->out, "\\%c{sc:%s}", letter, name);
    else
        return false;
    return true;
}

bool regexp_at_set_escape(const struct regexp_stream *stream)
{
    return stream->next[0] == '\\' && stream->next[1] && strchr("dDsSwWpP", stream->next[1]);
}

bool regexp_write_set_escape(struct regexp_stream *stream)
{
    char escape = stream->next[1];
    stream->next += 2;
    if (escape == 'p' || escape == 'P')
        return write_property(stream, escape == 'P');
    if (escape == 's') /* Go's has no vertical tab */
        (void) fputs("\\t\\n\\f\\r\\x{20}", stream->out);
    else if (escape == 'S')
        (void) fputs("\\S\\x{b}", stream->out);
    else
        (void) fprintf(stream->out, "\\%c", escape);
    return true;
}

/* At [:name:]: 1 when written, 0 when it is no such thing, -1 for an unknown name. */
static int write_named_class(struct regexp_stream *stream)
{
    static const char known[] = ":alnum:alpha:ascii:blank:cntrl:digit:graph:lower:print:punct:"
                                "space:upper:word:xdigit:";
    if (strncmp(stream->next, "[:", 2) != 0)
        return 0;
    const char *end = strstr(stream->next + 2, ":]");
    if (!end)
        return 0;
    const char *name = stream->next + (stream->next[2] == '^' ? 3 : 2);
    char word[NAME_MAX_BYTES];
    int length = (int) (end - name);
    if (length < 1 || length > NAME_MAX_BYTES - 3 || memchr(name, ':', (size_t) length))
        return -1;
    (void) snprintf(word, sizeof word, ":%.*s:", length, name);
    if (!strstr(known, word))
        return -1;
    (void) fprintf(stream->out, "%.*s", (int) (end + 2 - stream->next), stream->next);
    stream->next = end + 2;
    return 1;
}

static bool read_bracket_character(struct regexp_stream *stream, uint32_t *out_character)
{
    if (*stream->next != '\\')
        return regexp_read_character(stream, out_character);
    stream->next++;
    return regexp_read_escape(stream, out_character);
}

/* One character of a bracket expression, or a range a-z. */
static bool write_range(struct regexp_stream *stream)
{
    uint32_t low;
    uint32_t high;
    if (!read_bracket_character(stream, &low))
        return false;
    regexp_write_character(stream, low);
    bool is_range = stream->next[0] == '-' && stream->next[1] && stream->next[1] != ']';
    if (!is_range)
        return true;
    stream->next++;
    if (!read_bracket_character(stream, &high) || high < low)
        return false;
    (void) fputc('-', stream->out);
    regexp_write_character(stream, high);
    return true;
}

bool regexp_write_brackets(struct regexp_stream *stream)
{
    (void) fputc(*stream->next++, stream->out);
    if (*stream->next == '^')
        (void) fputc(*stream->next++, stream->out);
    for (bool first = true; first || *stream->next != ']'; first = false) {
        int named = write_named_class(stream);
        if (named > 0)
            continue;
        bool written = regexp_at_set_escape(stream) ? regexp_write_set_escape(stream)
                                                    : *stream->next && write_range(stream);
        if (named < 0 || !written)
            return false;
    }
    (void) fputc(*stream->next++, stream->out);
    return true;
}
