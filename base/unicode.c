/* SPDX-License-Identifier: Apache-2.0 */
#include "base/unicode.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>

/* PCRE2 has the tables; we link with it anyway. */
static pcre2_code *graphic;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void compile_graphic(void)
{
    int number;
    size_t offset;
    graphic = pcre2_compile((PCRE2_SPTR) "[^\\p{C}\\p{Z}]*+", PCRE2_ZERO_TERMINATED,
                            PCRE2_UTF | PCRE2_ANCHORED, &number, &offset, NULL);
}

static size_t span_by_tables(const char *text, size_t length)
{
    (void) pthread_once(&once, compile_graphic);
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!graphic || !data)
        return 0;
    int result = pcre2_match(graphic, (PCRE2_SPTR) text, length, 0, PCRE2_NO_UTF_CHECK, data, NULL);
    size_t span = result > 0 ? pcre2_get_ovector_pointer(data)[1] : 0;
    pcre2_match_data_free(data);
    return span;
}

size_t unicode_graphic_span(const char *text, size_t length)
{
    size_t ascii = 0;
    while (ascii < length && text[ascii] > ' ' && text[ascii] < 0x7f)
        ascii++;
    if (ascii == length || (text[ascii] & 0x80) == 0)
        return ascii;
    return ascii + span_by_tables(text + ascii, length - ascii);
}
