/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tree/checked_file.h"
#include "tree/path_list.h"

/* The content of the file: how many items there are, then for each its figures and its path with a
 * NUL. Numbers are as this machine has them. */
struct figures {
    uint64_t what;
    uint64_t group;
    uint64_t entries;
    uint64_t bytes;
};

static const size_t content_max =
    sizeof(uint64_t) + PATH_LIST_MAX * sizeof(struct figures) + PATH_LIST_TEXT_MAX;

static size_t put(char *bytes, size_t at, const void *data, size_t size)
{
    memcpy(bytes + at, data, size);
    return at + size;
}

static char *encode(const struct path_list *list, size_t *out_size)
{
    const uint64_t count = list->count;
    char *bytes = mem_alloc(sizeof count + list->count * sizeof(struct figures) + list->text_size);
    size_t size = put(bytes, 0, &count, sizeof count);
    for (size_t i = 0; i < list->count; i++) {
        const struct path_item *item = &list->items[i];
        const struct figures figures = {item->what, item->group, item->entries, item->bytes};
        size = put(bytes, size, &figures, sizeof figures);
        size = put(bytes, size, item->path, strlen(item->path) + 1);
    }
    *out_size = size;
    return bytes;
}

int path_list_save(const struct path_list *list, const char *magic, int dirfd, const char *name,
                   struct error *error)
{
    size_t size = 0;
    owned(mem_free) char *content = encode(list, &size);
    return checked_file_save(dirfd, name, magic, content, size, error);
}

static bool decode(struct path_list *list, const char *bytes, size_t size)
{
    uint64_t count = 0;
    size_t at = sizeof count;
    if (size < sizeof count)
        return false;
    memcpy(&count, bytes, sizeof count);
    for (uint64_t i = 0; i < count; i++) {
        struct figures figures;
        if (size - at < sizeof figures)
            return false;
        memcpy(&figures, bytes + at, sizeof figures);
        at += sizeof figures;
        size_t length = strnlen(bytes + at, size - at);
        if (length == size - at || figures.group > count)
            return false;
        const struct path_item item = {.path = bytes + at,
                                       .what = (unsigned) figures.what,
                                       .group = figures.group,
                                       .entries = figures.entries,
                                       .bytes = figures.bytes};
        if (!path_list_add(list, &item))
            return false;
        at += length + 1;
    }
    return at == size;
}

int path_list_load(struct path_list *out_list, const char *magic, int dirfd, const char *name,
                   struct error *error)
{
    size_t size = 0;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    owned(mem_free) char *content = NULL;
    int rc = checked_file_load(dirfd, name, magic, content_max, &content, &size, error);
    if (rc != 0)
        return rc;
    if (!decode(&list, content, size))
        return error_set(error, ERROR_CORRUPT, "the list %s cannot be read", name);
    *out_list = list;
    list = PATH_LIST_NULL;
    return 0;
}
