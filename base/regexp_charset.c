/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp_charset.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* struct regexp_charset is a pcre2_code under another name. */

struct regexp_charset *regexp_charset_new(const char *text, bool caseless)
{
    uint32_t options =
        PCRE2_UTF | PCRE2_ANCHORED | PCRE2_NO_START_OPTIMIZE | (caseless ? PCRE2_CASELESS : 0);
    int number;
    size_t offset;
    return (struct regexp_charset *) pcre2_compile((PCRE2_SPTR) text, PCRE2_ZERO_TERMINATED,
                                                   options, &number, &offset, NULL);
}

void regexp_charset_free(struct regexp_charset *set)
{
    pcre2_code_free((pcre2_code *) set);
}

bool regexp_charset_has(const struct regexp_charset *set, const char *character, size_t size)
{
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return false;
    int result = pcre2_match((const pcre2_code *) set, (PCRE2_SPTR) character, size, 0,
                             PCRE2_NO_UTF_CHECK, data, NULL);
    pcre2_match_data_free(data);
    return result >= 0;
}
