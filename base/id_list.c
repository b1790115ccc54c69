/* SPDX-License-Identifier: Apache-2.0 */
#include "base/id_list.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/fd.h"
#include "base/mem.h"

void id_name(uint64_t id, char out[ID_NAME_SIZE])
{
    (void) snprintf(out, ID_NAME_SIZE, "%llu", (unsigned long long) id);
}

void id_list_clear(struct id_list *list)
{
    mem_free(&list->ids);
    *list = (struct id_list){0};
}

void id_list_add(struct id_list *list, uint64_t id)
{
    if (list->count == list->capacity) {
        list->capacity = list->capacity ? list->capacity * 2 : 256;
        list->ids = mem_resize(list->ids, list->capacity, sizeof *list->ids);
    }
    list->ids[list->count++] = id;
}

static int compare(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *) a;
    uint64_t right = *(const uint64_t *) b;
    return left < right ? -1 : left > right;
}

void id_list_sort(struct id_list *list)
{
    if (list->count > 1)
        qsort(list->ids, list->count, sizeof *list->ids, compare);
}

int id_list_read(struct id_list *list, int dirfd, struct error *error)
{
    int fd = fd_open_dir(dirfd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        fd_close(&fd);
        return error_errno(error, "cannot read a folder of the store");
    }
    errno = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own */
    for (struct dirent *entry; (entry = readdir(dir));)
        if (fd_name_is_id(entry->d_name))
            id_list_add(list, strtoull(entry->d_name, NULL, 10));
    int rc = errno ? error_errno(error, "cannot read a folder of the store") : 0;
    (void) closedir(dir);
    id_list_sort(list);
    return rc;
}
