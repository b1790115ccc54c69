/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/*
 * Inside of regexp.c: a set of characters, which PCRE2 knows: it has Unicode's tables. Immutable,
 * thus usable from several threads.
 */
struct regexp_charset;

/* text is one bracket expression in PCRE2's syntax; NULL if it is not valid. */
struct regexp_charset *regexp_charset_new(const char *text, bool caseless);

/* NULL is allowed. */
void regexp_charset_free(struct regexp_charset *set);

/* Some 100 ns. The character is valid UTF-8 of size bytes. */
bool regexp_charset_has(const struct regexp_charset *set, const char *character, size_t size);
