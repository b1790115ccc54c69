/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "base/patience.h"

/*
 * containerd's filter language (containerd: pkg/filters):
 *
 *   filter   := "" | selector { "," selector }      all must match
 *   selector := path [ ("==" | "!=" | "~=") value ]  no operator: present
 *   path     := field { "." field }
 *
 * A list of filters matches what any of them matches; an empty list matches everything. "~=" is a
 * regular expression (base/regexp.h); one that is not valid does not match and is no error. Escapes
 * in quotes are Go's; one that stands for NUL or a \U above 10ffff is an error.
 */
struct filter_list;

/*
 * Looks a field up for the object under test: path has count elements. Returns true when the field
 * is present and sets *out_value, which lives at least until the next call. Labels join
 * their remaining elements with "." (filter_join).
 */
typedef bool filter_lookup(const void *object, const char *const *path, size_t count,
                           const char **out_value);

/* Parses count filters; ERROR_INVALID with the position for a bad one, or beyond the limits (1024
 * filters, 64 KiB each, 1 MiB in all; 256 regular expressions, 4 KiB each, 262,144 steps in all).
 * Free with filter_list_free. Immutable afterwards, and thus usable from several threads. */
int filter_list_parse(char *const *texts, size_t count, struct filter_list **out_list,
                      struct error *error);

void filter_list_free(struct filter_list *list);

/* For owned(filter_list_clear). */
void filter_list_clear(struct filter_list **list);

bool filter_list_match(const struct filter_list *list, filter_lookup *lookup, const void *object);

/* The same with an end to it, since a list of costly regular expressions can take minutes for one
 * object: 1, 0, ERROR_CANCELLED, or ERROR_BUSY when the time was over before it was decided. */
int filter_list_match_until(const struct filter_list *list, filter_lookup *lookup,
                            const void *object, const struct patience *patience);

/* What a look at the next record of a list answers. */
enum filter_answer {
    FILTER_END = 0,   /* there is none */
    FILTER_MATCH = 1, /* the filters match it */
    FILTER_OTHER = 2, /* they do not */
    FILTER_AGAIN = 3  /* the time was over before that was decided: it is to be looked at again */
};

/* filter_list_match_until as such a look: FILTER_MATCH, FILTER_OTHER, FILTER_AGAIN or
 * ERROR_CANCELLED. */
int filter_list_look(const struct filter_list *list, filter_lookup *lookup, const void *object,
                     const struct patience *patience, struct error *error);

/* Joins path elements from first on with "."; false if it needs more than size bytes. */
bool filter_join(const char *const *path, size_t first, size_t count, char *out, size_t size);
