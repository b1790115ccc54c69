/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/deep_path.h"
#include "tree/layer_internal.h"
#include "tree/list_pass.h"
#include "tree/xattr.h"

/* The entries of layers on their way into a tree. */
struct copying {
    const struct path_list *list;
    const struct layer_source *sources;
    int tree_fd;
    struct clone clone;
};

static bool is_entry(const struct path_item *item)
{
    return (item->what & LAYER_ENTRY) && !(item->what & LAYER_DIRECTORY);
}

static bool is_first(const struct path_item *item, size_t place)
{
    return item->group == 0 || item->group == place + 1;
}

static int copy_entry(void *context, size_t place, struct error *error)
{
    struct copying *copying = context;
    const struct path_item *item = &copying->list->items[place];
    int entries_fd = copying->sources[item->entries].fd;
    char number[LAYER_ENTRY_NAME_SIZE];
    const char *name = NULL;
    if (!is_entry(item) || !is_first(item, place))
        return 0;
    owned(fd_close) int dirfd = deep_path_open_parent(copying->tree_fd, item->path, &name);
    return dirfd < 0 ? layer_missing(error)
                     : layer_clone_entry(&copying->clone, entries_fd,
                                         layer_entry_name(item, number), dirfd, name, error);
}

static int link_entry(void *context, size_t place, struct error *error)
{
    const struct copying *copying = context;
    const struct path_list *list = copying->list;
    const struct path_item *item = &list->items[place];
    const char *first_name = NULL;
    const char *name = NULL;
    if (!is_entry(item) || is_first(item, place))
        return 0;
    owned(fd_close) int first_dirfd =
        deep_path_open_parent(copying->tree_fd, list->items[item->group - 1].path, &first_name);
    owned(fd_close) int dirfd = deep_path_open_parent(copying->tree_fd, item->path, &name);
    if (first_dirfd < 0 || dirfd < 0)
        return layer_missing(error);
    return linkat(first_dirfd, first_name, dirfd, name, 0) == 0
               ? 0
               : error_errno(error, "cannot link to the first name of this file");
}

static int open_dir_source(const struct layer_source *source, const struct path_item *item,
                           struct clone_origin *out_origin, struct error *error)
{
    char number[LAYER_ENTRY_NAME_SIZE];
    if (item->what & LAYER_PLAIN) {
        layer_folders_get(&source->folders, item->bytes, &out_origin->stat);
        return 0;
    }
    out_origin->fd = os_open_dir(source->fd, layer_entry_name(item, number));
    if (out_origin->fd < 0)
        return layer_missing(error);
    return os_stat(out_origin->fd, &out_origin->stat) == 0
               ? 0
               : error_errno(error, "cannot read the attributes");
}

/* The directory may have been there before, with other attributes. */
static int copy_dir_attributes(struct copying *copying, const struct path_item *item, int fd,
                               struct error *error)
{
    owned(clone_origin_close) struct clone_origin origin = {.fd = -1};
    int code = open_dir_source(&copying->sources[item->entries], item, &origin, error);
    if (code == 0)
        code = xattr_remove_others(origin.fd, fd, error);
    if (code != 0)
        return code;
    return item->what & LAYER_PLAIN
               ? clone_plain_dir_attributes(&origin.stat, fd, error)
               : clone_dir_attributes(&copying->clone, &origin, fd, item->path[0] == '\0', error);
}

static int set_dir_attributes(void *context, size_t place, struct error *error)
{
    struct copying *copying = context;
    const struct path_item *item = &copying->list->items[place];
    if (!(item->what & LAYER_DIRECTORY))
        return 0;
    owned(mem_free) char *path = mem_strdup(item->path);
    owned(fd_close) int fd = deep_path_open(copying->tree_fd, path);
    return fd < 0 ? layer_missing(error) : copy_dir_attributes(copying, item, fd, error);
}

int layer_copy(const struct path_list *list, const struct layer_source *sources, int tree_fd,
               const struct layer_options *options, struct error *error)
{
    static list_pass_step *const steps[] = {copy_entry, link_entry, set_dir_attributes};
    struct copying copying = {.list = list,
                              .sources = sources,
                              .tree_fd = tree_fd,
                              /* 0700: of directories, and what no umask takes away */
                              .clone = {.cancel = options->cancel, .made_mode_mask = 0700}};
    struct list_pass pass = {.list = list,
                             .context = &copying,
                             .threads = walk_thread_limit(options->threads),
                             .cancel = options->cancel,
                             .fault = "layer.entry"};
    int code = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && code == 0; i++) {
        pass.step = steps[i];
        code = list_pass_run(&pass, error);
    }
    return code;
}
