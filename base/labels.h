/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"

/*
 * Labels: a set of key/value strings sorted by key, as snapshots and blobs carry them. A label with
 * an empty value is never stored: setting one removes it (contract 3.1).
 */
struct label {
    char *key;
    char *value;
};

struct labels {
    struct label *items; /* sorted by key, bytewise */
    size_t count;
    size_t capacity;
};

#define LABELS_NULL ((struct labels){0})

/* Frees everything; repeatable; usable with owned(). */
void labels_clear(struct labels *labels);

/* Sets key to value (both copied), or removes key when value is "". */
void labels_set(struct labels *labels, const char *key, const char *value);

/* The value of key, or NULL. */
const char *labels_get(const struct labels *labels, const char *key);

/* The field labels.KEY of a filter (filter_lookup): path is "labels" and the parts of KEY. */
bool labels_lookup(const struct labels *labels, const char *const *path, size_t count,
                   const char **out_value);

/* Replaces *target with a copy of source. */
void labels_copy(struct labels *target, const struct labels *source);

/*
 * Applies an update with a field mask (contract 3.6): no path or "labels" replaces all labels by
 * source; "labels.KEY" sets KEY to what source has, or removes it; any other path is ERROR_INVALID
 * and leaves target unchanged. Check the result: an update can grow a set beyond the limits.
 */
int labels_update(struct labels *target, const struct labels *source, char *const *mask,
                  size_t mask_count, struct error *error);

/* ERROR_INVALID unless each key and value is valid UTF-8 and key + value is at most 4096 bytes, and
 * there are at most 1024 labels. */
int labels_check(const struct labels *labels, struct error *error);
