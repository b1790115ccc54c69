/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/fixups.h"
#include "tree/os.h"
#include "tree/walk.h"

struct scan {
    struct walk *walk;
    struct path_list *list;
};

/* Of a directory, in walk_dir.sums. */
enum { ENTRIES, BYTES };

/* The answer of a visitor that ends the walk. */
enum { TOO_LONG = 1 };

static int add(struct scan *scan, const struct walk_dir *dir, const char *name,
               struct path_item item)
{
    owned(mem_free) char *path = walk_dir_path(dir, name);
    item.path = path;
    return path_list_add(scan->list, &item) ? 0 : TOO_LONG;
}

static unsigned lock_bits(const struct os_stat *stat)
{
    return stat->flags & OS_FLAGS_LOCKING ? FIXUP_LOCKED : 0U;
}

/* What is lost of anything but a directory. */
static unsigned losses(const struct walk_dir *dir, const char *name, const struct os_stat *stat)
{
    unsigned what = 0;
    if (!S_ISREG(stat->mode) && !S_ISLNK(stat->mode))
        what |= FIXUP_SPECIAL;
    if (stat->nlink > 1)
        what |= FIXUP_LINK;
    if (S_ISREG(stat->mode) && (stat->mode & (S_ISUID | S_ISGID)))
        what |= FIXUP_ATTRIBUTES;
    if (S_ISREG(stat->mode) && os_has_acl_at(dir->fds[0], name))
        what |= FIXUP_ATTRIBUTES | FIXUP_ACL;
    return what != 0 ? what | lock_bits(stat) : 0;
}

static int visit_entry(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                       struct error *error)
{
    struct scan *scan = context;
    struct os_stat found;
    if (os_stat_at(dir->fds[0], entry->name, &found) != 0)
        return walk_open_error(error);
    if (found.mount_root) {
        errno = EXDEV;
        return walk_open_error(error);
    }
    dir->sums[ENTRIES]++;
    if (S_ISDIR(found.mode)) {
        walk_enter(scan->walk, dir, entry->name);
        return 0;
    }
    if (S_ISREG(found.mode))
        dir->sums[BYTES] += found.size_bytes;
    unsigned what = losses(dir, entry->name, &found);
    if (what == 0)
        return 0;
    return add(scan, dir, entry->name,
               (struct path_item){.what = what, .group = what & FIXUP_LINK ? found.ino : 0});
}

static int visit_leave(void *context, struct walk_dir *dir, struct error *error)
{
    struct os_stat found;
    if (os_stat(dir->fds[0], &found) != 0)
        return error_errno(error, "cannot read the attributes");
    unsigned acl = os_has_acl_at(dir->fds[0], "") ? FIXUP_ACL : 0U;
    return add(context, dir, "",
               (struct path_item){.what = FIXUP_DIRECTORY | acl | lock_bits(&found),
                                  .entries = dir->sums[ENTRIES],
                                  .bytes = dir->sums[BYTES]});
}

static const struct walk_visitor visitor = {.entry = visit_entry, .leave = visit_leave};

int fixups_scan(struct path_list *out_list, int dirfd, const char *name,
                const struct cancel *cancel, struct error *error)
{
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    struct scan scan = {.list = &list};
    owned(fd_close) int fd = os_open_root(dirfd, name);
    if (fd < 0)
        return walk_root_error(name, error);
    struct walk_options options = {
        .visitor = &visitor, .context = &scan, .cancel = cancel, .trees = 1, .threads = 1};
    owned(walk_clear) struct walk *walk = walk_new(&options, (int[]){fd_take(&fd), -1});
    scan.walk = walk;
    int code = walk_run(walk, error);
    if (code != 0)
        return code;
    path_list_sort(&list);
    path_list_number_groups(&list);
    *out_list = list;
    list = PATH_LIST_NULL;
    return 0;
}

bool fixups_find(const struct path_list *list, const char *path, size_t *out_begin, size_t *out_end)
{
    if (!path_list_find(list, path, out_begin) || !(list->items[*out_begin].what & FIXUP_DIRECTORY))
        return false;
    *out_end = path_list_end(list, *out_begin);
    return true;
}

struct path_item fixups_sum(const struct path_list *list, size_t begin, size_t end)
{
    struct path_item sum = {.path = list->items[begin].path};
    for (size_t i = begin; i < end; i++) {
        sum.what |= list->items[i].what;
        sum.entries += list->items[i].entries;
        sum.bytes += list->items[i].bytes;
    }
    return sum;
}

/* A cache: another version of it gets another magic, and an old one is made anew. */
static const char magic[] = "clonefs fixup 2";

int fixups_save(const struct path_list *list, int dirfd, const char *name, struct error *error)
{
    return path_list_save(list, magic, dirfd, name, error);
}

bool fixups_load(struct path_list *out_list, int dirfd, const char *name)
{
    return path_list_load(out_list, magic, dirfd, name, NULL) == 0;
}
