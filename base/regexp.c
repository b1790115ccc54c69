/* SPDX-License-Identifier: Apache-2.0 */
#include "base/regexp.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/regexp_syntax.h"

enum { STEPS_MAX = 50000, DEPTH_MAX = 20000, HEAP_MAX_KIB = 8192 };

struct regexp {
    pcre2_code *code;
    pcre2_match_context *limits;
};

static pcre2_code *compile(const char *pattern)
{
    pcre2_compile_context *context = pcre2_compile_context_create(NULL);
    if (!context)
        return NULL;
    (void) pcre2_set_newline(context, PCRE2_NEWLINE_LF);
    uint32_t options = PCRE2_UTF | PCRE2_ANCHORED | PCRE2_NO_AUTO_CAPTURE | PCRE2_DOLLAR_ENDONLY |
                       PCRE2_ALT_CIRCUMFLEX;
    int number;
    size_t offset;
    pcre2_code *code = pcre2_compile((PCRE2_SPTR) pattern, PCRE2_ZERO_TERMINATED, options, &number,
                                     &offset, context);
    pcre2_compile_context_free(context);
    return code;
}

static pcre2_match_context *limits_new(void)
{
    pcre2_match_context *limits = pcre2_match_context_create(NULL);
    if (!limits)
        return NULL;
    (void) pcre2_set_match_limit(limits, STEPS_MAX);
    (void) pcre2_set_depth_limit(limits, DEPTH_MAX);
    (void) pcre2_set_heap_limit(limits, HEAP_MAX_KIB);
    return limits;
}

struct regexp *regexp_new(const char *pattern)
{
    owned(mem_free) char *translated = regexp_syntax_to_pcre2(pattern);
    if (!translated)
        return NULL;
    /* PCRE2 counts the steps from each start position anew. One anchored match that looks for the
     * start itself has one count, and so the limit is a limit. */
    owned(mem_free) char *search = mem_printf("(?s:.*?)(?:%s)", translated);
    struct regexp *regexp = mem_alloc(sizeof *regexp);
    regexp->code = compile(search);
    regexp->limits = limits_new();
    if (!regexp->code || !regexp->limits) {
        regexp_free(regexp);
        return NULL;
    }
    return regexp;
}

void regexp_free(struct regexp *regexp)
{
    if (!regexp)
        return;
    pcre2_code_free(regexp->code);
    pcre2_match_context_free(regexp->limits);
    mem_free(&regexp);
}

bool regexp_matches(const struct regexp *regexp, const char *text)
{
    if (!regexp)
        return false;
    pcre2_match_data *data = pcre2_match_data_create(1, NULL);
    if (!data)
        return false;
    int result =
        pcre2_match(regexp->code, (PCRE2_SPTR) text, strlen(text), 0, 0, data, regexp->limits);
    pcre2_match_data_free(data);
    return result >= 0;
}
