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
    REGEXPS_MAX = 256
};

struct filter_list {
    struct filter *filters;
    size_t count;
    size_t regexp_count;
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

static bool selector_matches(const struct filter *filter, const struct filter_selector *selector,
                             filter_lookup *lookup, const void *object)
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
        return regexp_matches(selector->regexp, value);
    }
    return false;
}

static bool filter_matches(const struct filter *filter, filter_lookup *lookup, const void *object)
{
    for (size_t i = 0; i < filter->selector_count; i++)
        if (!selector_matches(filter, &filter->selectors[i], lookup, object))
            return false;
    return true;
}

bool filter_list_match(const struct filter_list *list, filter_lookup *lookup, const void *object)
{
    for (size_t i = 0; i < list->count; i++)
        if (filter_matches(&list->filters[i], lookup, object))
            return true;
    return list->count == 0;
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
