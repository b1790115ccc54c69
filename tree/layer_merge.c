/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tree/layer_internal.h"

/*
 * All items of all layers, in the order of paths and, for one path, of layers. What counts for a
 * path is the topmost entry that no layer above has removed, with the path or with a directory
 * above it.
 */
struct merge {
    struct path_list all;
    struct path_list *merged;
    size_t *removals; /* for the directories above: their paths' places in all ... */
    size_t *levels;   /* ... and 1 + the topmost layer that removed them */
    size_t depth;
};

static void merge_clear(struct merge *merge)
{
    path_list_clear(&merge->all);
    mem_free(&merge->removals);
    mem_free(&merge->levels);
}

static bool fits(const struct path_list *all, const struct path_list *layer)
{
    return layer->count <= PATH_LIST_MAX - all->count &&
           layer->text_size <= PATH_LIST_TEXT_MAX - all->text_size;
}

/* Groups of different layers are different files. */
static void add_layer(struct merge *merge, const struct path_list *layer, size_t place)
{
    for (size_t i = 0; i < layer->count; i++) {
        struct path_item item = layer->items[i];
        item.entries = place;
        if (item.group > 0)
            item.group += place * ((uint64_t) PATH_LIST_MAX + 1);
        (void) path_list_add(&merge->all, &item); /* fits */
    }
}

/* The first one always fits: it is such a list itself. */
static int load(struct merge *merge, const int *layer_dirfds, size_t *inout_count,
                struct layer_source *sources, struct error *error)
{
    for (size_t i = 0; i < *inout_count; i++) {
        owned(path_list_clear) struct path_list layer = PATH_LIST_NULL;
        int rc = layer_load(layer_dirfds[i], &layer, &sources[i].folders, error);
        if (rc != 0)
            return rc;
        if (!fits(&merge->all, &layer)) {
            *inout_count = i;
            break;
        }
        add_layer(merge, &layer, i);
    }
    return 0;
}

/* 1 + the topmost layer that removed the path or one above it, by the items of the path from begin
 * up to end. */
static size_t find_level(struct merge *merge, size_t begin, size_t end)
{
    const struct path_item *items = merge->all.items;
    while (merge->depth > 0 &&
           !path_list_is_below(items[begin].path, items[merge->removals[merge->depth - 1]].path))
        merge->depth--;
    size_t level = merge->depth > 0 ? merge->levels[merge->depth - 1] : 0;
    size_t own = 0;
    for (size_t i = begin; i < end; i++)
        if (items[i].what & LAYER_REMOVED)
            own = items[i].entries + 1;
    if (own <= level)
        return level;
    merge->removals[merge->depth] = begin;
    merge->levels[merge->depth++] = own;
    return own;
}

static void merge_path(struct merge *merge, size_t begin, size_t end)
{
    const struct path_item *items = merge->all.items;
    size_t level = find_level(merge, begin, end);
    struct path_item result = {.path = items[begin].path};
    for (size_t i = begin; i < end; i++) {
        result.what |= items[i].what & LAYER_REMOVED;
        if (!(items[i].what & LAYER_ENTRY) || items[i].entries + 1 < level)
            continue;
        result.what = (result.what & LAYER_REMOVED) | items[i].what;
        result.entries = items[i].entries;
        result.group = items[i].group;
        result.bytes = items[i].bytes;
    }
    if (result.what != 0)
        (void) path_list_add(merge->merged, &result); /* fits, as all did */
}

static void merge_all(struct merge *merge)
{
    const struct path_list *all = &merge->all;
    size_t end = 0;
    merge->removals = mem_alloc_array(all->count + 1, sizeof *merge->removals);
    merge->levels = mem_alloc_array(all->count + 1, sizeof *merge->levels);
    for (size_t begin = 0; begin < all->count; begin = end) {
        while (end < all->count && strcmp(all->items[begin].path, all->items[end].path) == 0)
            end++;
        merge_path(merge, begin, end);
    }
}

int layer_merge(const int *layer_dirfds, size_t *inout_count, struct layer_source *sources,
                struct path_list *out_list, struct error *error)
{
    owned(path_list_clear) struct path_list merged = PATH_LIST_NULL;
    owned(merge_clear) struct merge merge = {.merged = &merged};
    int code = load(&merge, layer_dirfds, inout_count, sources, error);
    if (code != 0)
        return code;
    path_list_order(&merge.all);
    merge_all(&merge);
    path_list_number_groups(&merged);
    *out_list = merged;
    merged = PATH_LIST_NULL;
    return 0;
}
