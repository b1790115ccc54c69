/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/inventory.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/layer.h"
#include "tree/os.h"
#include "tree/walk.h"

struct taking {
    struct walk *walk;
    const struct timestamp *since;
    dev_t dev;
    pthread_mutex_t lock;
    struct path_list list; /* under lock */
};

/* 1 if the list is full. */
static int add(struct taking *taking, const char *path, const struct os_stat *found)
{
    struct timestamp changed = {.seconds = found->ctime.tv_sec,
                                .nanos = (int32_t) found->ctime.tv_nsec};
    struct path_item item = {.path = path, .group = found->ino};
    if (S_ISDIR(found->mode))
        item.what |= INVENTORY_DIRECTORY;
    if (taking->since && !timestamp_after(*taking->since, changed))
        item.what |= INVENTORY_CHANGED;
    (void) pthread_mutex_lock(&taking->lock);
    bool added = path_list_add(&taking->list, &item);
    (void) pthread_mutex_unlock(&taking->lock);
    return added ? 0 : 1;
}

static int visit_entry(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                       struct error *error)
{
    struct taking *taking = context;
    struct os_stat found;
    if (os_stat_at(dir->fds[0], entry->name, &found) != 0)
        return walk_open_error(error);
    if (found.mount_root ||
        found.dev != taking->dev) { /* subvolumes have inodes of equal numbers */
        errno = EXDEV;
        return walk_open_error(error);
    }
    if (S_ISDIR(found.mode))
        walk_enter(taking->walk, dir, entry->name);
    owned(mem_free) char *path = walk_dir_path(dir, entry->name);
    return add(taking, path, &found);
}

static const struct walk_visitor visitor = {.entry = visit_entry};

static int take(struct taking *taking, int tree_fd, unsigned threads, const struct cancel *cancel,
                struct error *error)
{
    struct os_stat root;
    owned(fd_close) int fd = os_open_dir(tree_fd, ".");
    if (fd < 0 || os_stat(fd, &root) != 0)
        return error_errno(error, "cannot read the attributes of the root");
    const struct walk_options options = {
        .visitor = &visitor, .context = taking, .cancel = cancel, .trees = 1, .threads = threads};
    owned(walk_clear) struct walk *walk = walk_new(&options, (int[]){fd_take(&fd), -1});
    taking->walk = walk;
    taking->dev = root.dev;
    int code = add(taking, "", &root);
    return code == 0 ? walk_run(walk, error) : code;
}

int inventory_take(int tree_fd, const struct timestamp *since, unsigned threads,
                   const struct cancel *cancel, struct path_list *out_list, struct error *error)
{
    struct taking taking = {.since = since, .lock = PTHREAD_MUTEX_INITIALIZER};
    int code = take(&taking, tree_fd, threads, cancel, error);
    (void) pthread_mutex_destroy(&taking.lock);
    if (code != 0) {
        path_list_clear(&taking.list);
        return code;
    }
    path_list_sort(&taking.list);
    *out_list = taking.list;
    return 0;
}

/* Two inventories, read side by side. */
struct reading {
    struct path_list *changes;
    char *last_dir;   /* noted last */
    const char *gone; /* what was in this directory before is gone, or NULL */
    bool full;
};

static void reading_clear(struct reading *reading)
{
    mem_free(&reading->last_dir);
}

static bool is_gone(const struct reading *reading, const char *path)
{
    return reading->gone && path_list_is_below(path, reading->gone);
}

static void add_change(struct reading *reading, const char *path, unsigned what)
{
    const struct path_item item = {.path = path, .what = what};
    if (!path_list_add(reading->changes, &item))
        reading->full = true;
}

/* What is made again in a directory changes its times, even if the directory has not changed. */
static void note(struct reading *reading, const char *path, bool removed)
{
    add_change(reading, path, removed ? LAYER_REMOVED : 0);
    const char *slash = strrchr(path, '/');
    owned(mem_free) char *dir = mem_printf("%.*s", slash ? (int) (slash - path) : 0, path);
    if (reading->last_dir && strcmp(reading->last_dir, dir) == 0)
        return;
    add_change(reading, dir, 0);
    mem_free(&reading->last_dir);
    reading->last_dir = mem_take(&dir);
}

static void note_removed(struct reading *reading, const char *path)
{
    if (is_gone(reading, path))
        return;
    note(reading, path, true);
    reading->gone = path;
}

/* An inode that is another one, or of another kind since its number was used again, has replaced
 * the one of before, with all that is below; one that is the same, in a directory that was
 * replaced, has come back. */
static void note_both(struct reading *reading, const struct path_item *before,
                      const struct path_item *now)
{
    bool is_same =
        before->group == now->group && !((before->what ^ now->what) & INVENTORY_DIRECTORY);
    bool stays = is_same && (now->what & INVENTORY_DIRECTORY);
    if (is_gone(reading, now->path) || (stays && (now->what & INVENTORY_CHANGED)))
        note(reading, now->path, false);
    else if (!is_same || (now->what & INVENTORY_CHANGED))
        note_removed(reading, now->path);
}

bool inventory_changes(const struct path_list *before, const struct path_list *now,
                       struct path_list *out_changes)
{
    owned(reading_clear) struct reading reading = {.changes = out_changes};
    size_t i = 0;
    size_t j = 0;
    while (i < before->count || j < now->count) {
        int order = i == before->count ? 1
                    : j == now->count  ? -1
                                       : path_compare(before->items[i].path, now->items[j].path);
        if (order < 0)
            note_removed(&reading, before->items[i].path);
        else if (order > 0)
            note(&reading, now->items[j].path, false);
        else
            note_both(&reading, &before->items[i], &now->items[j]);
        i += order <= 0;
        j += order >= 0;
    }
    path_list_sort(out_changes);
    return !reading.full;
}
