/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/deep_path.h"
#include "tree/layer_internal.h"
#include "tree/tree.h"

static int ready_dir(int dirfd, const char *name, struct error *error)
{
    if (mkdirat(dirfd, name, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "cannot make the directory");
    owned(fd_close) int fd = os_open_dir(dirfd, name);
    if (fd < 0)
        return errno == ENOTDIR || errno == ELOOP
                   ? error_set(error, ERROR_CORRUPT, "the layer does not fit the tree")
                   : error_errno(error, "cannot open the directory");
    return clone_ready_dir(fd, error);
}

static bool is_nowhere(int sys)
{
    return sys == ENOENT || sys == ENOTDIR || sys == ELOOP;
}

/* Removes what goes first; a directory that stays lets things in it go. */
static int clear_item(int tree_fd, const struct path_item *item,
                      const struct layer_options *options, struct error *error)
{
    const char *name = NULL;
    if (!(item->what & (LAYER_REMOVED | LAYER_DIRECTORY)))
        return 0;
    if (item->path[0] == '\0')
        return clone_ready_dir(tree_fd, error);
    owned(fd_close) int dirfd = deep_path_open_parent(tree_fd, item->path, &name);
    if (dirfd >= 0 && (item->what & LAYER_REMOVED))
        return tree_remove(dirfd, name, options->cancel, error);
    owned(fd_close) int fd = dirfd < 0 ? -1 : os_open_dir(dirfd, name);
    if (fd >= 0)
        return clone_ready_dir(fd, error);
    return is_nowhere(errno) ? 0 : error_errno(error, "cannot open");
}

/* Makes a directory that is an entry. */
static int make_item_dir(int tree_fd, const struct path_item *item,
                         const struct layer_options *options, struct error *error)
{
    const char *name = NULL;
    (void) options;
    if (!(item->what & LAYER_DIRECTORY) || item->path[0] == '\0')
        return 0;
    owned(fd_close) int dirfd = deep_path_open_parent(tree_fd, item->path, &name);
    if (dirfd < 0)
        return error_set(error, ERROR_CORRUPT, "the layer does not fit the tree");
    return ready_dir(dirfd, name, error);
}

typedef int room_step(int tree_fd, const struct path_item *item,
                      const struct layer_options *options, struct error *error);

static int take_steps(room_step *step, int tree_fd, const struct path_list *list,
                      const struct layer_options *options, struct error *error)
{
    for (size_t i = 0; i < list->count; i++) {
        int code = cancel_requested(options->cancel)
                       ? error_set(error, ERROR_CANCELLED, "asked to stop")
                       : step(tree_fd, &list->items[i], options, error);
        if (code == 0)
            continue;
        owned(mem_free) char *path = walk_path_describe(list->items[i].path);
        (void) error_wrap(error, "%s", path);
        return code;
    }
    return 0;
}

/* All that goes is gone before anything is made: on a volume that folds names, a later layer may
 * have made what an earlier one removed, in another spelling. */
static int make_all_room(int tree_fd, const struct path_list *list,
                         const struct layer_options *options, struct error *error)
{
    int code = take_steps(clear_item, tree_fd, list, options, error);
    return code == 0 ? take_steps(make_item_dir, tree_fd, list, options, error) : code;
}

static void close_sources(struct layer_source *sources, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fd_close(&sources[i].fd);
        layer_folders_clear(&sources[i].folders);
    }
}

static int open_sources(const int *layer_dirfds, size_t count, struct layer_source *sources,
                        struct error *error)
{
    for (size_t i = 0; i < count; i++) {
        sources[i].fd = os_open_dir(layer_dirfds[i], layer_entries_name);
        if (sources[i].fd < 0)
            return layer_missing(error);
    }
    return 0;
}

static int put(const int *layer_dirfds, size_t *inout_count, struct layer_source *sources,
               int tree_fd, const struct layer_options *options, struct error *error)
{
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    int code = layer_merge(layer_dirfds, inout_count, sources, &list, error);
    if (code == 0)
        code = open_sources(layer_dirfds, *inout_count, sources, error);
    if (code == 0)
        code = make_all_room(tree_fd, &list, options, error);
    return code == 0 ? layer_copy(&list, sources, tree_fd, options, error) : code;
}

/* Puts as many of the layers, the lowest first, as one pass can. */
static int put_some(const int *layer_dirfds, size_t *inout_count, int tree_fd,
                    const struct layer_options *options, struct error *error)
{
    size_t count = *inout_count;
    owned(mem_free) struct layer_source *sources = mem_alloc_array(count, sizeof *sources);
    for (size_t i = 0; i < count; i++)
        sources[i].fd = -1;
    int code = put(layer_dirfds, inout_count, sources, tree_fd, options, error);
    close_sources(sources, count);
    return code;
}

int layers_put(const int *layer_dirfds, size_t count, int tree_fd,
               const struct layer_options *options, struct timestamp *out_time, struct error *error)
{
    int code = 0;
    for (size_t done = 0; code == 0 && done < count;) {
        size_t some = count - done;
        code = put_some(layer_dirfds + done, &some, tree_fd, options, error);
        done += some;
    }
    return code == 0 ? tree_mark_time(tree_fd, out_time, error) : code;
}
