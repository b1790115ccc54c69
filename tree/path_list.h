/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Paths of a tree with something said about each, in the order of the tree: each directory before
 * what is below it, and all that together. A list belongs to one thread while it is made; sorted,
 * it is only read, by any number.
 */
struct path_item {
    const char *path; /* from the root, which is ""; the list's */
    unsigned what;    /* bits, of whoever makes the list */
    uint64_t group; /* items that are one file: the place of the first of them in the list, from 1;
                       before path_list_sort anything that they have in common. 0 = none */
    uint64_t entries; /* figures of whoever makes the list */
    uint64_t bytes;
};

struct path_list_text;

struct path_list {
    struct path_item *items;
    size_t count;
    size_t capacity;
    struct path_list_text *text; /* where the paths are */
    size_t text_size;
};

#define PATH_LIST_NULL ((struct path_list){0})

/* No list has more, and what would need more has none: 64 MiB of memory at most. */
enum { PATH_LIST_MAX = 500000, PATH_LIST_TEXT_MAX = 48 << 20 };

/* Repeatable, for owned(). */
void path_list_clear(struct path_list *list);

/* Adds an item, in any order, before path_list_sort; false if the list is full. Its path is copied.
 */
bool path_list_add(struct path_list *list, const struct path_item *item);

/* Brings the items into their order when all have been added; items of one path become one, with
 * the bits of all of them. */
void path_list_sort(struct path_list *list);

/* The same, but items of one path stay, in the order of their entries. */
void path_list_order(struct path_list *list);

/* Numbers the groups of a sorted list; once. */
void path_list_number_groups(struct path_list *list);

/* The item of this path; false if there is none. */
bool path_list_find(const struct path_list *list, const char *path, size_t *out_place);

/* Below, at or above 0 as path a comes before b in the order of the tree, is b, or comes after. */
int path_compare(const char *a, const char *b);

/* True if path is below the directory dir, which is not below itself; all is below "". */
bool path_list_is_below(const char *path, const char *dir);

/* Behind the last item that is below the one in this place. */
size_t path_list_end(const struct path_list *list, size_t place);

/* Writes the list to a file (tree/checked_file.h). */
int path_list_save(const struct path_list *list, const char *magic, int dirfd, const char *name,
                   struct error *error);

/* Reads it. ERROR_CORRUPT if there is none that is whole, ERROR_IO. */
int path_list_load(struct path_list *out_list, const char *magic, int dirfd, const char *name,
                   struct error *error);
