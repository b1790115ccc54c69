/* SPDX-License-Identifier: Apache-2.0 */
#include "base/labels.h"

#include <stdbool.h>
#include <string.h>

#include "base/filter.h"
#include "base/mem.h"
#include "base/utf8.h"

enum { LABEL_BYTES_MAX = 4096, LABEL_COUNT_MAX = 1024 };

#define MASK_ALL "labels"
#define MASK_ONE "labels."

void labels_clear(struct labels *labels)
{
    for (size_t i = 0; i < labels->count; i++) {
        mem_free(&labels->items[i].key);
        mem_free(&labels->items[i].value);
    }
    mem_free(&labels->items);
    *labels = LABELS_NULL;
}

/* The index of the first label whose key is not less. */
static size_t lower_bound(const struct labels *labels, const char *key)
{
    size_t low = 0;
    size_t high = labels->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(labels->items[middle].key, key) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static bool has_key_at(const struct labels *labels, size_t index, const char *key)
{
    return index < labels->count && strcmp(labels->items[index].key, key) == 0;
}

static void remove_at(struct labels *labels, size_t index)
{
    struct label *item = &labels->items[index];
    mem_free(&item->key);
    mem_free(&item->value);
    labels->count--;
    memmove(item, item + 1, (labels->count - index) * sizeof *item);
}

static void insert_at(struct labels *labels, size_t index, const char *key, const char *value)
{
    if (labels->count == labels->capacity) {
        labels->capacity = labels->capacity ? labels->capacity * 2 : 8;
        labels->items = mem_resize(labels->items, labels->capacity, sizeof *labels->items);
    }
    struct label *item = &labels->items[index];
    memmove(item + 1, item, (labels->count - index) * sizeof *item);
    *item = (struct label){.key = mem_strdup(key), .value = mem_strdup(value)};
    labels->count++;
}

static void replace_value(struct label *item, const char *value)
{
    char *copy = mem_strdup(value); /* first: value may be the one that we free */
    mem_free(&item->value);
    item->value = copy;
}

void labels_set(struct labels *labels, const char *key, const char *value)
{
    size_t index = lower_bound(labels, key);
    bool found = has_key_at(labels, index, key);
    if (found && value[0] == '\0')
        remove_at(labels, index);
    else if (found)
        replace_value(&labels->items[index], value);
    else if (value[0] != '\0')
        insert_at(labels, index, key, value);
}

const char *labels_get(const struct labels *labels, const char *key)
{
    size_t index = lower_bound(labels, key);
    return has_key_at(labels, index, key) ? labels->items[index].value : NULL;
}

bool labels_lookup(const struct labels *labels, const char *const *path, size_t count,
                   const char **out_value)
{
    char key[LABEL_BYTES_MAX + 1];
    const char *value = NULL;
    if (count < 1 || strcmp(path[0], "labels") != 0)
        return false;
    if (labels->count > 0 && filter_join(path, 1, count, key, sizeof key))
        value = labels_get(labels, key);
    *out_value = value;
    return value != NULL;
}

void labels_copy(struct labels *target, const struct labels *source)
{
    struct labels copy = LABELS_NULL;
    for (size_t i = 0; i < source->count; i++)
        labels_set(&copy, source->items[i].key, source->items[i].value);
    labels_clear(target);
    *target = copy;
}

static bool names_one_label(const char *path)
{
    return strncmp(path, MASK_ONE, strlen(MASK_ONE)) == 0;
}

static int check_mask(char *const *mask, size_t mask_count, struct error *error)
{
    for (size_t i = 0; i < mask_count; i++) {
        if (!utf8_valid(mask[i], strlen(mask[i])))
            return error_set(error, ERROR_INVALID, "a path of the update mask is not valid UTF-8");
        if (strcmp(mask[i], MASK_ALL) != 0 && !names_one_label(mask[i]))
            return error_set(error, ERROR_INVALID, "only labels can be updated, not the field %s",
                             mask[i]);
    }
    return 0;
}

int labels_update(struct labels *target, const struct labels *source, char *const *mask,
                  size_t mask_count, struct error *error)
{
    int code = check_mask(mask, mask_count, error);
    if (code != 0)
        return code;
    if (mask_count == 0)
        labels_copy(target, source);
    for (size_t i = 0; i < mask_count; i++) {
        if (!names_one_label(mask[i])) {
            labels_copy(target, source);
            continue;
        }
        const char *key = mask[i] + strlen(MASK_ONE);
        const char *value = labels_get(source, key);
        labels_set(target, key, value ? value : "");
    }
    return 0;
}

static int check_label(const struct label *label, struct error *error)
{
    size_t key_length = strlen(label->key);
    size_t value_length = strlen(label->value);
    if (!utf8_valid(label->key, key_length))
        return error_set(error, ERROR_INVALID, "a label key is not valid UTF-8");
    if (!utf8_valid(label->value, value_length))
        return error_set(error, ERROR_INVALID, "not valid UTF-8: the value of label %s",
                         label->key);
    if (key_length + value_length > LABEL_BYTES_MAX)
        return error_set(error, ERROR_INVALID,
                         "key and value are %zu bytes, the limit is %d: label %s",
                         key_length + value_length, LABEL_BYTES_MAX, label->key);
    return 0;
}

int labels_check(const struct labels *labels, struct error *error)
{
    if (labels->count > LABEL_COUNT_MAX)
        return error_set(error, ERROR_INVALID, "%zu labels are too many, the limit is %d",
                         labels->count, LABEL_COUNT_MAX);
    for (size_t i = 0; i < labels->count; i++) {
        int code = check_label(&labels->items[i], error);
        if (code != 0)
            return code;
    }
    return 0;
}
