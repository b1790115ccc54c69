/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Regular expressions in the syntax of Go's regexp package (RE2), run by PCRE2: an unanchored
 * search with a limit on steps, depth and heap, so that a hostile pattern stops after some
 * milliseconds. Patterns and texts are UTF-8. Immutable, thus usable from several threads.
 *
 * Known differences from Go: what runs into a limit does not match; nesting ends at 200 groups;
 * (?i) does not widen \w, \p{Lu} and their like; two groups may have the same name.
 */
struct regexp;

/* The longest pattern; callers refuse longer ones. */
enum { REGEXP_BYTES_MAX = 4096 };

/* NULL if the pattern is not valid. Free with regexp_free. */
struct regexp *regexp_new(const char *pattern);

void regexp_free(struct regexp *regexp);

/* False for a NULL regexp: what is not valid matches nothing. */
bool regexp_matches(const struct regexp *regexp, const char *text);
