/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/touched.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "tree/layer.h"

void touched_clear(struct touched *touched)
{
    mem_free(&touched->last_dir);
    path_set_clear(&touched->linked);
}

static void add(struct touched *touched, const char *path, bool removed)
{
    const struct path_item item = {.path = path, .what = removed ? LAYER_REMOVED : 0};
    if (!touched->lost && !path_list_add(touched->list, &item))
        touched->lost = true;
}

void touched_note(struct touched *touched, const char *dir, const char *name, bool removed)
{
    if (!touched->list)
        return;
    owned(mem_free) char *path = *dir ? mem_printf("%s/%s", dir, name) : mem_strdup(name);
    add(touched, path, removed);
    if (touched->last_dir && strcmp(touched->last_dir, dir) == 0)
        return;
    add(touched, dir, false);
    mem_free(&touched->last_dir);
    touched->last_dir = mem_strdup(dir);
}

void touched_link(struct touched *touched, uint64_t inode, uint64_t names)
{
    if (!touched->list)
        return;
    if (names > 1 && !path_set_has(&touched->linked, inode))
        touched->lost = true;
    path_set_add(&touched->linked, inode);
}
