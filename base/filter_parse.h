/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/* Inside of filter.c: one parsed filter. All its texts live in one block. */
enum filter_operator { FILTER_PRESENT, FILTER_EQUAL, FILTER_NOT_EQUAL, FILTER_MATCHES };

struct filter_selector {
    size_t first_element; /* the path: indices into the filter's elements */
    size_t element_count;
    enum filter_operator operator_kind;
    const char *value;     /* "" for FILTER_PRESENT */
    struct regexp *regexp; /* of FILTER_MATCHES; NULL if it is not a valid one */
};

struct filter {
    struct filter_selector *selectors;
    size_t selector_count;
    size_t selector_capacity;
    const char **elements;
    size_t element_count;
    size_t element_capacity;
    char *texts;
};

/* Parses text into a zeroed *out_filter and compiles no regexp. Clear it after a failure too. */
int filter_parse(const char *text, struct filter *out_filter, struct error *error);

/* Frees everything, the regexps included. */
void filter_clear(struct filter *filter);
