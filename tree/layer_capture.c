/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdatomic.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/deep_path.h"
#include "tree/layer_internal.h"
#include "tree/list_pass.h"

struct capture {
    int tree_fd;
    struct path_list *changes;
    const struct timestamp *since;
    atomic_bool untellable;
};

/* A file with several names takes no link once it is locked, and the root no entry. */
static bool is_untellable(const struct path_item *item, const struct os_stat *found)
{
    bool locked = (found->flags & OS_FLAGS_LOCKING) != 0;
    return (locked && !S_ISDIR(found->mode) && found->nlink > 1) ||
           (found->flags != 0 && item->path[0] == '\0');
}

static bool is_later(const struct timespec *time, const struct timestamp *since)
{
    return time->tv_sec > since->seconds ||
           (time->tv_sec == since->seconds && time->tv_nsec > since->nanos);
}

/* Finds out what is at the item's path now. Until the list is a manifest, entries tells how many
 * names it has, and bytes its size and one more if it has changed. */
static int describe(void *context, size_t place, struct error *error)
{
    struct capture *capture = context;
    struct path_item *item = &capture->changes->items[place];
    const char *name = NULL;
    struct os_stat found;
    owned(fd_close) int dirfd = deep_path_open_parent(capture->tree_fd, item->path, &name);
    item->entries = item->bytes = 0;
    bool gone = dirfd < 0 || (item->path[0] ? os_stat_at(dirfd, name, &found)
                                            : os_stat(capture->tree_fd, &found)) != 0;
    if (gone)
        return errno == ENOENT || errno == ENOTDIR || errno == ELOOP
                   ? 0
                   : error_errno(error, "cannot read the attributes");
    if (found.mount_root)
        return error_set(error, ERROR_PRECONDITION, "something is mounted there");
    item->what |= LAYER_ENTRY | (S_ISDIR(found.mode) ? (unsigned) LAYER_DIRECTORY : 0U);
    item->group = found.ino;
    item->entries = S_ISDIR(found.mode) ? 1 : found.nlink;
    item->bytes = is_later(&found.ctime, capture->since) ? found.allocated_bytes + 1 : 0;
    if (is_untellable(item, &found))
        atomic_store(&capture->untellable, true);
    return 0;
}

/* What came and went leaves nothing. */
static void drop_nothing(struct path_list *changes)
{
    size_t kept = 0;
    for (size_t i = 0; i < changes->count; i++)
        if (changes->items[i].what != 0)
            changes->items[kept++] = changes->items[i];
    changes->count = kept;
}

/* A file that has names elsewhere, too, is one of the tree below. One that has fewer than were
 * found was found by names that are one on this volume. */
static bool has_other_names(struct path_list *changes)
{
    for (size_t i = 0; i < changes->count; i++) {
        struct path_item *item = &changes->items[i];
        if (item->group == 0)
            continue;
        struct path_item *first = &changes->items[item->group - 1];
        first->entries--;
        if (item == first && first->entries == 0)
            item->group = 0;
    }
    for (size_t i = 0; i < changes->count; i++)
        if (changes->items[i].entries != 0 && (changes->items[i].what & LAYER_ENTRY) &&
            (changes->items[i].group == 0 || changes->items[i].group == i + 1))
            return true;
    return false;
}

static struct layer_size add_up(struct path_list *changes)
{
    struct layer_size size = {0};
    for (size_t i = 0; i < changes->count; i++) {
        struct path_item *item = &changes->items[i];
        if (item->bytes > 0 && (item->group == 0 || item->group == i + 1)) {
            size.inodes++;
            size.bytes += item->bytes - 1;
        }
        item->entries = item->bytes = 0;
    }
    return size;
}

int layer_capture(int tree_fd, int layer_dirfd, struct path_list *changes,
                  const struct timestamp *since, const struct layer_options *options,
                  struct layer_size *out_size, struct error *error)
{
    struct capture capture = {.tree_fd = tree_fd, .changes = changes, .since = since};
    path_list_sort(changes);
    const struct list_pass pass = {.list = changes,
                                   .step = describe,
                                   .context = &capture,
                                   .threads = walk_thread_limit(options->threads),
                                   .cancel = options->cancel,
                                   .fault = "layer.describe"};
    int code = list_pass_run(&pass, error);
    if (code != 0)
        return code;
    if (atomic_load(&capture.untellable))
        return 1;
    drop_nothing(changes);
    path_list_number_groups(changes);
    if (has_other_names(changes))
        return 1;
    *out_size = add_up(changes);
    code = layer_keep(tree_fd, layer_dirfd, changes, options, error);
    return code == 0 ? path_list_save(changes, layer_magic, layer_dirfd, layer_manifest_name, error)
                     : code;
}
