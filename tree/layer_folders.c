/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/mem.h"
#include "tree/checked_file.h"
#include "tree/layer_internal.h"

static const char file_name[] = "folders";
static const char file_magic[] = "clonefs folders";

void layer_folders_clear(struct layer_folders *folders)
{
    mem_free(&folders->items);
    folders->count = 0;
}

void layer_folders_set(struct layer_folders *folders, size_t place, const struct os_stat *stat)
{
    folders->items[place] =
        (struct folder_attributes){.mode = (uint32_t) stat->mode,
                                   .uid = stat->uid,
                                   .gid = stat->gid,
                                   .atime_nanos = (uint32_t) stat->atime.tv_nsec,
                                   .mtime_nanos = (uint32_t) stat->mtime.tv_nsec,
                                   .atime = stat->atime.tv_sec,
                                   .mtime = stat->mtime.tv_sec};
}

void layer_folders_get(const struct layer_folders *folders, size_t place, struct os_stat *out_stat)
{
    const struct folder_attributes *item = &folders->items[place];
    *out_stat = (struct os_stat){
        .mode = (mode_t) item->mode,
        .uid = item->uid,
        .gid = item->gid,
        .atime = {.tv_sec = (time_t) item->atime, .tv_nsec = (long) item->atime_nanos},
        .mtime = {.tv_sec = (time_t) item->mtime, .tv_nsec = (long) item->mtime_nanos}};
}

int layer_folders_save(const struct layer_folders *folders, int layer_dirfd, struct error *error)
{
    return checked_file_save(layer_dirfd, file_name, file_magic, folders->items,
                             folders->count * sizeof *folders->items, error);
}

static bool are_times(const struct layer_folders *folders)
{
    static const uint32_t second = 1000000000;
    for (size_t i = 0; i < folders->count; i++)
        if (folders->items[i].atime_nanos >= second || folders->items[i].mtime_nanos >= second)
            return false;
    return true;
}

int layer_folders_load(struct layer_folders *out_folders, int layer_dirfd, struct error *error)
{
    size_t size = 0;
    owned(mem_free) char *content = NULL;
    int rc =
        checked_file_load(layer_dirfd, file_name, file_magic,
                          PATH_LIST_MAX * sizeof(struct folder_attributes), &content, &size, error);
    if (rc != 0)
        return rc;
    out_folders->items = (void *) mem_take(&content);
    out_folders->count = size / sizeof(struct folder_attributes);
    if (size % sizeof(struct folder_attributes) != 0 || !are_times(out_folders))
        return error_set(error, ERROR_CORRUPT, "the folders of a layer are damaged");
    return 0;
}
