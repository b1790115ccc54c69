/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/clone.h"
#include "tree/deep_path.h"
#include "tree/layer_internal.h"
#include "tree/list_pass.h"

const char layer_files_name[] = "fs";
const char layer_manifest_name[] = "manifest";
const char layer_magic[] = "clonefs layer 1";

static int missing(struct error *error)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV)
        return error_set(error, ERROR_CORRUPT, "the layer does not fit the tree");
    return error_errno(error, "cannot open");
}

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
    struct layer_copy *copy = context;
    const struct path_item *item = &copy->list->items[place];
    const char *name = NULL;
    struct os_stat found;
    if (!is_entry(item) || !is_first(item, place))
        return 0;
    owned(fd_close) int source_dirfd =
        deep_path_open_parent(copy->source_fds[item->entries], item->path, &name);
    owned(fd_close) int dirfd = deep_path_open_parent(copy->target_fd, item->path, &name);
    if (source_dirfd < 0 || dirfd < 0 || os_stat_at(source_dirfd, name, &found) != 0)
        return missing(error);
    owned(clone_origin_close) struct clone_origin origin = {.fd = -1};
    int code = clone_origin_open(&origin, source_dirfd, name, (int) IFTODT(found.mode), error);
    return code == 0 ? clone_entry(&copy->clone, &origin, dirfd, name, true, error) : code;
}

static int link_entry(void *context, size_t place, struct error *error)
{
    const struct layer_copy *copy = context;
    const struct path_list *list = copy->list;
    const struct path_item *item = &list->items[place];
    const char *first_name = NULL;
    const char *name = NULL;
    if (!is_entry(item) || is_first(item, place))
        return 0;
    owned(fd_close) int first_dirfd =
        deep_path_open_parent(copy->target_fd, list->items[item->group - 1].path, &first_name);
    owned(fd_close) int dirfd = deep_path_open_parent(copy->target_fd, item->path, &name);
    if (first_dirfd < 0 || dirfd < 0)
        return missing(error);
    return linkat(first_dirfd, first_name, dirfd, name, 0) == 0
               ? 0
               : error_errno(error, "cannot link to the first name of this file");
}

static int open_dir(int root_fd, const struct path_item *item)
{
    owned(mem_free) char *path = mem_strdup(item->path);
    return deep_path_open(root_fd, path);
}

static int set_dir_attributes(void *context, size_t place, struct error *error)
{
    struct layer_copy *copy = context;
    const struct path_item *item = &copy->list->items[place];
    if (!(item->what & LAYER_DIRECTORY))
        return 0;
    owned(clone_origin_close) struct clone_origin origin = {
        .fd = open_dir(copy->source_fds[item->entries], item)};
    owned(fd_close) int fd = open_dir(copy->target_fd, item);
    if (origin.fd < 0 || fd < 0)
        return missing(error);
    if (os_stat(origin.fd, &origin.stat) != 0)
        return error_errno(error, "cannot read the attributes");
    return clone_dir_attributes(&copy->clone, &origin, fd, item->path[0] == '\0', error);
}

int layer_copy_run(struct layer_copy *copy, struct error *error)
{
    static list_pass_step *const steps[] = {copy_entry, link_entry, set_dir_attributes};
    struct list_pass pass = {.list = copy->list,
                             .context = copy,
                             .threads = walk_thread_limit(copy->options->threads),
                             .cancel = copy->options->cancel,
                             .fault = "layer.entry"};
    int code = 0;
    copy->clone.made_mode_mask = 0700; /* of directories, and what no umask takes away */
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && code == 0; i++) {
        pass.step = steps[i];
        code = list_pass_run(&pass, error);
    }
    return code;
}
