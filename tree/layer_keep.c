/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/id_list.h"
#include "base/mem.h"
#include "tree/deep_path.h"
#include "tree/layer_internal.h"
#include "tree/list_pass.h"

/* The entries of a layer on their way into it. */
struct keeping {
    struct path_list *list;
    struct layer_folders folders;
    int tree_fd;
    int entries_fd;
    struct clone clone;
};

static void keeping_clear(struct keeping *keeping)
{
    layer_folders_clear(&keeping->folders);
    fd_close(&keeping->entries_fd);
}

/* A directory with all its attributes, and nothing in it. */
static int keep_dir(struct keeping *keeping, const struct clone_origin *origin,
                    const struct path_item *item, struct error *error)
{
    char name[LAYER_ENTRY_NAME_SIZE];
    if (mkdirat(keeping->entries_fd, layer_entry_name(item, name), 0700) != 0)
        return error_errno(error, "cannot make a directory of the layer");
    owned(fd_close) int fd = os_open_dir(keeping->entries_fd, name);
    if (fd < 0)
        return error_errno(error, "cannot open a directory of the layer");
    int code = clone_ready_dir(fd, error);
    return code == 0
               ? clone_dir_attributes(&keeping->clone, origin, fd, item->path[0] == '\0', error)
               : code;
}

static int keep_dir_or_attributes(struct keeping *keeping, struct path_item *item, size_t place,
                                  struct error *error)
{
    owned(mem_free) char *path = mem_strdup(item->path);
    owned(clone_origin_close) struct clone_origin origin = {
        .fd = deep_path_open(keeping->tree_fd, path)};
    if (origin.fd < 0 || os_stat(origin.fd, &origin.stat) != 0)
        return error_errno(error, "cannot read the attributes");
    int plain = clone_dir_is_plain(&origin, error);
    if (plain <= 0) {
        item->bytes = layer_entry_place(place, keeping->list->count);
        return plain < 0 ? plain : keep_dir(keeping, &origin, item, error);
    }
    item->what |= LAYER_PLAIN;
    layer_folders_set(&keeping->folders, item->bytes, &origin.stat);
    return 0;
}

static int keep_file(struct keeping *keeping, const struct path_item *item, struct error *error)
{
    char number[LAYER_ENTRY_NAME_SIZE];
    const char *name = NULL;
    owned(fd_close) int dirfd = deep_path_open_parent(keeping->tree_fd, item->path, &name);
    return dirfd < 0 ? error_errno(error, "cannot open the directory")
                     : layer_clone_entry(&keeping->clone, dirfd, name, keeping->entries_fd,
                                         layer_entry_name(item, number), error);
}

/* All names of a file tell where it is: the first of them may be of no account one day. */
static int keep_item(void *context, size_t place, struct error *error)
{
    struct keeping *keeping = context;
    struct path_item *item = &keeping->list->items[place];
    if (item->what & LAYER_DIRECTORY)
        return keep_dir_or_attributes(keeping, item, place, error);
    if (!(item->what & LAYER_ENTRY))
        return 0;
    size_t first = item->group > 0 ? item->group - 1 : place;
    item->bytes = layer_entry_place(first, keeping->list->count);
    return first == place ? keep_file(keeping, item, error) : 0;
}

static int make_entries_dirs(struct keeping *keeping, int layer_dirfd, struct error *error)
{
    keeping->entries_fd = clone_make_root(&keeping->clone, layer_dirfd, layer_entries_name, error);
    if (keeping->entries_fd < 0)
        return keeping->entries_fd;
    for (size_t i = 0; i < layer_entry_dirs(keeping->list->count); i++) {
        char name[ID_NAME_SIZE];
        id_name(i, name);
        int fd = fd_make_dir(keeping->entries_fd, name, 0700, error);
        if (fd < 0)
            return fd;
        fd_close(&fd);
    }
    keeping->clone.made_mode_mask = 0700; /* what no umask takes away */
    return 0;
}

/* A place among the attributes for each directory, whether it needs one or not. */
static void place_folders(struct keeping *keeping)
{
    for (size_t i = 0; i < keeping->list->count; i++)
        if (keeping->list->items[i].what & LAYER_DIRECTORY)
            keeping->list->items[i].bytes = keeping->folders.count++;
    keeping->folders.items =
        mem_alloc_array(keeping->folders.count, sizeof *keeping->folders.items);
}

int layer_keep(int tree_fd, int layer_dirfd, struct path_list *list,
               const struct layer_options *options, struct error *error)
{
    owned(keeping_clear) struct keeping keeping = {
        .list = list, .tree_fd = tree_fd, .entries_fd = -1, .clone = {.cancel = options->cancel}};
    const struct list_pass pass = {.list = list,
                                   .step = keep_item,
                                   .context = &keeping,
                                   .threads = walk_thread_limit(options->threads),
                                   .cancel = options->cancel,
                                   .fault = "layer.entry"};
    place_folders(&keeping);
    int code = make_entries_dirs(&keeping, layer_dirfd, error);
    if (code == 0)
        code = list_pass_run(&pass, error);
    return code == 0 ? layer_folders_save(&keeping.folders, layer_dirfd, error) : code;
}
