/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/path_list.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tree/inode_map.h"

enum { TEXT_BLOCK = 65536 };

/* Paths stay where they are while the list grows. */
struct path_list_text {
    struct path_list_text *older;
    size_t used;
    size_t size;
    char bytes[];
};

void path_list_clear(struct path_list *list)
{
    while (list->text) {
        struct path_list_text *block = list->text;
        list->text = block->older;
        free(block);
    }
    mem_free(&list->items);
    *list = PATH_LIST_NULL;
}

static const char *keep_path(struct path_list *list, const char *path, size_t size)
{
    struct path_list_text *block = list->text;
    if (!block || block->size - block->used < size) {
        size_t room = size > TEXT_BLOCK ? size : TEXT_BLOCK;
        block = mem_alloc(sizeof *block + room);
        *block = (struct path_list_text){.older = list->text, .size = room};
        list->text = block;
    }
    char *kept = block->bytes + block->used;
    memcpy(kept, path, size);
    block->used += size;
    list->text_size += size;
    return kept;
}

bool path_list_add(struct path_list *list, const struct path_item *item)
{
    size_t size = strlen(item->path) + 1;
    if (list->count == PATH_LIST_MAX || size > PATH_LIST_TEXT_MAX - list->text_size)
        return false;
    if (list->count == list->capacity) {
        list->capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        list->items = mem_resize(list->items, list->capacity, sizeof *list->items);
    }
    struct path_item *added = &list->items[list->count++];
    *added = *item;
    added->path = keep_path(list, item->path, size);
    return true;
}

/* A slash comes before all other bytes, so that nothing stands between a directory and what is
 * below it. */
static int rank(char byte)
{
    return byte == '/' ? 1 : byte == '\0' ? 0 : (unsigned char) byte + 1;
}

int path_compare(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

static int compare_items(const void *a, const void *b)
{
    const struct path_item *first = a;
    const struct path_item *second = b;
    return path_compare(first->path, second->path);
}

static int compare_ordered(const void *a, const void *b)
{
    const struct path_item *first = a;
    const struct path_item *second = b;
    int order = path_compare(first->path, second->path);
    return order != 0 ? order
                      : (first->entries > second->entries) - (first->entries < second->entries);
}

static void merge_same(struct path_list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (kept > 0 && strcmp(list->items[kept - 1].path, list->items[i].path) == 0)
            list->items[kept - 1].what |= list->items[i].what;
        else
            list->items[kept++] = list->items[i];
    }
    list->count = kept;
}

void path_list_order(struct path_list *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, compare_ordered);
}

void path_list_sort(struct path_list *list)
{
    path_list_order(list);
    merge_same(list);
}

void path_list_number_groups(struct path_list *list)
{
    struct inode_map firsts = INODE_MAP_NULL;
    for (size_t i = 0; i < list->count; i++) {
        struct path_item *item = &list->items[i];
        if (item->group == 0)
            continue;
        uintptr_t first = inode_map_get(&firsts, 0, item->group);
        if (first == 0)
            inode_map_add(&firsts, 0, item->group, i + 1);
        item->group = first == 0 ? i + 1 : first;
    }
    inode_map_clear(&firsts);
}

bool path_list_is_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    return length == 0 || (strncmp(path, dir, length) == 0 && path[length] == '/');
}

size_t path_list_end(const struct path_list *list, size_t place)
{
    const char *path = list->items[place].path;
    size_t low = place + 1;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (path_list_is_below(list->items[middle].path, path))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool path_list_find(const struct path_list *list, const char *path, size_t *out_place)
{
    const struct path_item wanted = {.path = path};
    if (list->count == 0)
        return false;
    const struct path_item *found =
        bsearch(&wanted, list->items, list->count, sizeof *list->items, compare_items);
    if (found)
        *out_place = (size_t) (found - list->items);
    return found != NULL;
}
