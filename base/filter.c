/* SPDX-License-Identifier: Apache-2.0 */
#include "base/filter.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/filter_parse.h"
#include "base/mem.h"
#include "base/regexp.h"

enum {
    FILTERS_MAX = 1024,
    FILTER_BYTES_MAX = 64 << 10,
    TOTAL_BYTES_MAX = 1 << 20,
    REGEXPS_MAX = 256,
    REGEXP_STEPS_MAX = 1 << 18 /* of all regexps together: 2 MiB */
};

struct filter_list {
    struct filter *filters;
    size_t count;
    size_t regexp_count;
    size_t regexp_steps;
};

static int check_sizes(char *const *texts, size_t count, struct error *error)
{
    size_t total = 0;
    if (count > FILTERS_MAX)
        return error_set(error, ERROR_INVALID, "%zu filters are too many, the limit is %d", count,
                         FILTERS_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t length = strlen(texts[i]);
        total += length;
        if (length > FILTER_BYTES_MAX)
            return error_set(error, ERROR_INVALID,
                             "a filter of %zu bytes is too long, the limit is %d", length,
                             FILTER_BYTES_MAX);
    }
    if (total > TOTAL_BYTES_MAX)
        return error_set(error, ERROR_INVALID, "filters of %zu bytes are too long, the limit is %d",
                         total, TOTAL_BYTES_MAX);
    return 0;
}

static int compile_regexps(struct filter_list *list, struct filter *filter, struct error *error)
{
    for (size_t i = 0; i < filter->selector_count; i++) {
        struct filter_selector *selector = &filter->selectors[i];
        if (selector->operator_kind != FILTER_MATCHES)
            continue;
        if (strlen(selector->value) > REGEXP_BYTES_MAX)
            return error_set(error, ERROR_INVALID,
                             "a regular expression of %zu bytes is too long, the limit is %d",
                             strlen(selector->value), REGEXP_BYTES_MAX);
        if (++list->regexp_count > REGEXPS_MAX)
            return error_set(error, ERROR_INVALID, "too many regular expressions, the limit is %d",
                             REGEXPS_MAX);
        selector->regexp = regexp_new(selector->value);
        list->regexp_steps += regexp_size(selector->regexp);
        if (list->regexp_steps > REGEXP_STEPS_MAX)
            return error_set(error, ERROR_INVALID,
                             "the regular expressions have more than %d steps, repetitions written "
                             "out",
                             REGEXP_STEPS_MAX);
    }
    return 0;
}

int filter_list_parse(char *const *texts, size_t count, struct filter_list **out_list,
                      struct error *error)
{
    int code = check_sizes(texts, count, error);
    if (code != 0)
        return code;
    owned(filter_list_clear) struct filter_list *list = mem_alloc(sizeof *list);
    list->filters = mem_alloc_array(count, sizeof *list->filters);
    list->count = count;
    for (size_t i = 0; i < count; i++) {
        code = filter_parse(texts[i], &list->filters[i], error);
        if (code == 0)
            code = compile_regexps(list, &list->filters[i], error);
        if (code != 0)
            return code;
    }
    *out_list = list;
    list = NULL;
    return 0;
}

void filter_list_free(struct filter_list *list)
{
    if (!list)
        return;
    for (size_t i = 0; i < list->count; i++)
        filter_clear(&list->filters[i]);
    mem_free(&list->filters);
    mem_free(&list);
}

void filter_list_clear(struct filter_list **list)
{
    filter_list_free(*list);
    *list = NULL;
}

static int selector_matches(const struct filter *filter, const struct filter_selector *selector,
                            filter_lookup *lookup, const void *object,
                            const struct patience *patience)
{
    const char *found = "";
    bool present =
        lookup(object, filter->elements + selector->first_element, selector->element_count, &found);
    const char *value = present ? found : "";
    switch (selector->operator_kind) {
    case FILTER_PRESENT:
        return present;
    case FILTER_EQUAL:
        return present && strcmp(value, selector->value) == 0;
    case FILTER_NOT_EQUAL:
        return strcmp(value, selector->value) != 0;
    case FILTER_MATCHES:
        return regexp_match_until(selector->regexp, value, patience);
    }
    return false;
}

static int filter_matches(const struct filter *filter, filter_lookup *lookup, const void *object,
                          const struct patience *patience)
{
    int answer = 1;
    for (size_t i = 0; answer == 1 && i < filter->selector_count; i++) {
        answer = patience_check(patience);
        if (answer == 0)
            answer = selector_matches(filter, &filter->selectors[i], lookup, object, patience);
    }
    return answer;
}

int filter_list_match_until(const struct filter_list *list, filter_lookup *lookup,
                            const void *object, const struct patience *patience)
{
    int answer = list->count == 0;
    for (size_t i = 0; answer == 0 && i < list->count; i++)
        answer = filter_matches(&list->filters[i], lookup, object, patience);
    return answer;
}

bool filter_list_match(const struct filter_list *list, filter_lookup *lookup, const void *object)
{
    return filter_list_match_until(list, lookup, object, NULL) == 1;
}

int filter_list_look(const struct filter_list *list, filter_lookup *lookup, const void *object,
                     const struct patience *patience, struct error *error)
{
    switch (filter_list_match_until(list, lookup, object, patience)) {
    case 0:
        return FILTER_OTHER;
    case 1:
        return FILTER_MATCH;
    case ERROR_BUSY:
        return FILTER_AGAIN;
    default:
        return error_set(error, ERROR_CANCELLED, "the client has gone");
    }
}

bool filter_join(const char *const *path, size_t first, size_t count, char *out, size_t size)
{
    size_t used = 0;
    for (size_t i = first; i < count; i++) {
        size_t length = strlen(path[i]);
        if (length >= size - used)
            return false;
        memcpy(out + used, path[i], length);
        used += length;
        out[used++] = '.';
    }
    if (size == 0)
        return false;
    out[used ? used - 1 : 0] = '\0'; /* over the last dot */
    return true;
}
