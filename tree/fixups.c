/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/fixups.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "tree/inode_map.h"

enum { TEXT_BLOCK = 65536 };

/* Paths stay where they are while the list grows. */
struct fixups_text {
    struct fixups_text *older;
    size_t used;
    size_t size;
    char bytes[];
};

void fixups_clear(struct fixups *list)
{
    while (list->text) {
        struct fixups_text *block = list->text;
        list->text = block->older;
        free(block);
    }
    mem_free(&list->items);
    *list = FIXUPS_NULL;
}

static const char *keep_path(struct fixups *list, const char *path, size_t size)
{
    struct fixups_text *block = list->text;
    if (!block || block->size - block->used < size) {
        size_t room = size > TEXT_BLOCK ? size : TEXT_BLOCK;
        block = mem_alloc(sizeof *block + room);
        *block = (struct fixups_text){.older = list->text, .size = room};
        list->text = block;
    }
    char *kept = block->bytes + block->used;
    memcpy(kept, path, size);
    block->used += size;
    list->text_size += size;
    return kept;
}

bool fixups_add(struct fixups *list, const struct fixup *item)
{
    size_t size = strlen(item->path) + 1;
    if (list->count == FIXUPS_MAX || size > FIXUPS_TEXT_MAX - list->text_size)
        return false;
    if (list->count == list->capacity) {
        list->capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        list->items = mem_resize(list->items, list->capacity, sizeof *list->items);
    }
    struct fixup *added = &list->items[list->count++];
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

static int compare_paths(const char *a, const char *b)
{
    while (*a && *a == *b) {
        a++;
        b++;
    }
    return rank(*a) - rank(*b);
}

static int compare_items(const void *a, const void *b)
{
    return compare_paths(((const struct fixup *) a)->path, ((const struct fixup *) b)->path);
}

static void number_groups(struct fixups *list)
{
    struct inode_map firsts = INODE_MAP_NULL; /* places, counted from 1 */
    for (size_t i = 0; i < list->count; i++) {
        struct fixup *item = &list->items[i];
        if (!(item->what & FIXUP_LINK))
            continue;
        uintptr_t first = inode_map_get(&firsts, 0, item->group);
        if (first == 0)
            inode_map_add(&firsts, 0, item->group, i + 1);
        item->group = first == 0 ? i : first - 1;
    }
    inode_map_clear(&firsts);
}

void fixups_sort(struct fixups *list)
{
    if (list->count > 1)
        qsort(list->items, list->count, sizeof *list->items, compare_items);
    number_groups(list);
}

static bool is_below(const char *path, const char *dir)
{
    size_t length = strlen(dir);
    return length == 0 || (strncmp(path, dir, length) == 0 && path[length] == '/');
}

/* The first item from begin on that comes after path, and after all below it. */
static size_t end_of(const struct fixups *list, size_t begin, const char *path)
{
    size_t low = begin;
    size_t high = list->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (is_below(list->items[middle].path, path))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool fixups_find(const struct fixups *list, const char *path, size_t *out_begin, size_t *out_end)
{
    const struct fixup wanted = {.path = path};
    if (list->count == 0)
        return false;
    const struct fixup *found =
        bsearch(&wanted, list->items, list->count, sizeof *list->items, compare_items);
    if (!found || !(found->what & FIXUP_DIRECTORY))
        return false;
    *out_begin = (size_t) (found - list->items);
    *out_end = end_of(list, *out_begin + 1, path);
    return true;
}

struct fixup fixups_sum(const struct fixups *list, size_t begin, size_t end)
{
    struct fixup sum = {.path = list->items[begin].path};
    for (size_t i = begin; i < end; i++) {
        sum.what |= list->items[i].what;
        sum.entries += list->items[i].entries;
        sum.bytes += list->items[i].bytes;
    }
    return sum;
}
