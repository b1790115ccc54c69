/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/clone.h"
#include "tree/deep_path.h"
#include "tree/list_pass.h"
#include "tree/os.h"
#include "tree/walk.h"

/*
 * In passes over the list: each does one thing to those items that need it, in any order. What
 * forbids changes is taken off first and put back last; directories come after all that is in them,
 * since that changes their times, and what is done to one changes nothing of the one above it.
 */
struct repair {
    const struct path_list *list;
    int origin_fd; /* the roots */
    int clone_fd;
};

static bool is_directory(const struct path_item *item)
{
    return (item->what & FIXUP_DIRECTORY) != 0;
}

/* What is not there under a path of the list, or is something else, is not of the list's tree. */
static int open_error(struct error *error)
{
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP || errno == EXDEV)
        return error_set(error, ERROR_CORRUPT, "the fix-up list is not of this tree");
    return error_errno(error, "cannot open");
}

/* Opens what item is in the tree below root_fd. */
static int open_item(int root_fd, const struct path_item *item)
{
    const char *name = NULL;
    if (is_directory(item)) {
        owned(mem_free) char *path = mem_strdup(item->path);
        return deep_path_open(root_fd, path);
    }
    owned(fd_close) int dirfd = deep_path_open_parent(root_fd, item->path, &name);
    return dirfd < 0 ? -1 : os_open_file(dirfd, name);
}

static bool is_link_to_first(const struct repair *repair, size_t index)
{
    const struct path_item *item = &repair->list->items[index];
    return (item->what & FIXUP_LINK) && item->group != index + 1;
}

static int unlock(void *context, size_t index, struct error *error)
{
    const struct repair *repair = context;
    const struct path_item *item = &repair->list->items[index];
    if (!(item->what & FIXUP_LOCKED))
        return 0;
    owned(fd_close) int fd = open_item(repair->clone_fd, item);
    if (fd < 0)
        return open_error(error);
    return os_change_flags(fd, OS_FLAGS_LOCKING, false) == 0
               ? 0
               : error_errno(error, "cannot clear the inode flags");
}

static int link_to_first(void *context, size_t index, struct error *error)
{
    const struct repair *repair = context;
    const struct path_list *list = repair->list;
    const char *first_name = NULL;
    const char *name = NULL;
    if (!is_link_to_first(repair, index))
        return 0;
    owned(fd_close) int first_dirfd = deep_path_open_parent(
        repair->clone_fd, list->items[list->items[index].group - 1].path, &first_name);
    owned(fd_close) int dirfd =
        deep_path_open_parent(repair->clone_fd, list->items[index].path, &name);
    if (first_dirfd < 0 || dirfd < 0 || unlinkat(dirfd, name, 0) != 0)
        return open_error(error);
    return linkat(first_dirfd, first_name, dirfd, name, 0) == 0
               ? 0
               : error_errno(error, "cannot link to the first name of this file");
}

static int set_attributes(const struct repair *repair, const struct path_item *item,
                          bool with_locks, struct error *error)
{
    owned(fd_close) int origin_fd = open_item(repair->origin_fd, item);
    owned(fd_close) int fd = open_item(repair->clone_fd, item);
    if (origin_fd < 0 || fd < 0)
        return open_error(error);
    return clone_repair(origin_fd, fd, (item->what & FIXUP_ACL) != 0, with_locks, error);
}

/* A symlink or special file that has several names has no attributes that a clone loses. */
static int set_file_attributes(void *context, size_t index, struct error *error)
{
    const struct repair *repair = context;
    const struct path_item *item = &repair->list->items[index];
    if (is_directory(item) || is_link_to_first(repair, index) ||
        !(item->what & (FIXUP_ATTRIBUTES | FIXUP_LOCKED)))
        return 0;
    return set_attributes(repair, item, true, error);
}

static int set_dir_attributes(void *context, size_t index, struct error *error)
{
    const struct repair *repair = context;
    const struct path_item *item = &repair->list->items[index];
    bool is_root = item->path[0] == '\0';
    return is_directory(item) ? set_attributes(repair, item, !is_root, error) : 0;
}

int repair_tree(const struct path_list *list, int origin_root_fd, int clone_root_fd,
                unsigned threads, const struct cancel *cancel, struct error *error)
{
    static list_pass_step *const steps[] = {unlock, link_to_first, set_file_attributes,
                                            set_dir_attributes};
    struct repair repair = {.list = list, .origin_fd = origin_root_fd, .clone_fd = clone_root_fd};
    struct list_pass pass = {.list = list,
                             .context = &repair,
                             .threads = walk_thread_limit(threads),
                             .cancel = cancel,
                             .fault = "tree.clone.repair"};
    int code = 0;
    for (size_t i = 0; i < sizeof steps / sizeof steps[0] && code == 0; i++) {
        pass.step = steps[i];
        code = list_pass_run(&pass, error);
    }
    return code;
}
