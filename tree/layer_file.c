/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "tree/layer_internal.h"
#include "tree/list_pass.h"

const char layer_entries_name[] = "fs";
const char layer_manifest_name[] = "manifest";
const char layer_magic[] = "clonefs layer 2";

enum { DIRS_MAX = 16, ENTRIES_IN_DIR = 512 };

size_t layer_entry_dirs(size_t count)
{
    size_t dirs = 1 + count / ENTRIES_IN_DIR;
    return dirs < DIRS_MAX ? dirs : DIRS_MAX;
}

uint64_t layer_entry_place(size_t place, size_t count)
{
    uint64_t dir = place / LIST_PASS_NEIGHBOURS % layer_entry_dirs(count);
    return dir << 32 | place;
}

const char *layer_entry_name(const struct path_item *item, char name[LAYER_ENTRY_NAME_SIZE])
{
    (void) snprintf(name, LAYER_ENTRY_NAME_SIZE, "%u/%u", (unsigned) (item->bytes >> 32),
                    (unsigned) (item->bytes & UINT32_MAX));
    return name;
}

int layer_clone_entry(struct clone *clone, int source_dirfd, const char *source_name, int dirfd,
                      const char *name, struct error *error)
{
    struct os_stat found;
    owned(clone_origin_close) struct clone_origin origin = {.fd = -1};
    if (os_stat_at(source_dirfd, source_name, &found) != 0)
        return layer_missing(error);
    int code =
        clone_origin_open(&origin, source_dirfd, source_name, (int) IFTODT(found.mode), error);
    return code == 0 ? clone_entry(clone, &origin, dirfd, name, true, error) : code;
}

int layer_missing(struct error *error)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV)
        return error_set(error, ERROR_CORRUPT, "the layer does not fit the tree");
    return error_errno(error, "cannot open");
}

/* Whether it stays below the root. */
static bool is_good_path(const char *path)
{
    while (path[0] != '\0') {
        size_t length = strcspn(path, "/");
        bool is_dots = (length == 1 || length == 2) && strncmp(path, "..", length) == 0;
        if (length == 0 || is_dots || (path[length] == '/' && path[length + 1] == '\0'))
            return false;
        path += length + (path[length] == '/');
    }
    return true;
}

static bool is_good(const struct path_list *list, const struct layer_folders *folders)
{
    size_t dirs = 0;
    for (size_t i = 0; i < list->count; i++) {
        const struct path_item *item = &list->items[i];
        if (!is_good_path(item->path) ||
            ((item->what & LAYER_PLAIN) && item->bytes >= folders->count))
            return false;
        dirs += (item->what & LAYER_DIRECTORY) != 0;
    }
    return dirs == folders->count;
}

int layer_load(int layer_dirfd, struct path_list *out_list, struct layer_folders *out_folders,
               struct error *error)
{
    int rc = path_list_load(out_list, layer_magic, layer_dirfd, layer_manifest_name, error);
    if (rc == 0)
        rc = layer_folders_load(out_folders, layer_dirfd, error);
    if (rc == 0 && !is_good(out_list, out_folders))
        rc = ERROR_CORRUPT;
    if (rc == ERROR_CORRUPT)
        return error_set(error, ERROR_CORRUPT,
                         "the manifest of a layer, or its folders, are missing or damaged");
    return rc;
}
