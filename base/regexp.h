/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/patience.h"

/*
 * Regular expressions in the syntax of Go's regexp package (RE2). A search follows all ways
 * through the pattern at once and never goes back: it takes time in proportion to the text's
 * length times the pattern's, repetitions {n,m} written out, and memory in proportion to the
 * latter; it can be ended at any time. Patterns and texts are UTF-8. Immutable, thus usable from
 * several threads.
 *
 * Known differences from Go: a pattern is not valid beyond 200 groups in each other, 256 different
 * sets of characters (with (?i) a letter is one), or 16,384 steps, repetitions written out; (?i)
 * does not widen \w, \p{Lu} and their like; two groups may have the same name.
 */
struct regexp;

/* The longest pattern; callers refuse longer ones. */
enum { REGEXP_BYTES_MAX = 4096 };

/* NULL if the pattern is not valid. Free with regexp_free. */
struct regexp *regexp_new(const char *pattern);

void regexp_free(struct regexp *regexp);

/* How many steps it has, repetitions written out: what a character of the text costs at most. */
size_t regexp_size(const struct regexp *regexp);

/* False for a NULL regexp: what is not valid matches nothing. */
bool regexp_matches(const struct regexp *regexp, const char *text);

/* The same with an end to it: 1, 0, ERROR_CANCELLED, or ERROR_BUSY when the time was over before
 * it was decided. */
int regexp_match_until(const struct regexp *regexp, const char *text,
                       const struct patience *patience);
