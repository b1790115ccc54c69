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
    struct fixups *list;
};

/* Of a directory, in walk_dir.sums. */
enum { ENTRIES, BYTES };

/* The answer of a visitor that ends the walk. */
enum { TOO_LONG = 1 };

static int add(struct scan *scan, const struct walk_dir *dir, const char *name, struct fixup item)
{
    owned(mem_free) char *path = walk_dir_path(dir, name);
    item.path = path;
    return fixups_add(scan->list, &item) ? 0 : TOO_LONG;
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
               (struct fixup){.what = what, .group = what & FIXUP_LINK ? found.ino : 0});
}

static int visit_leave(void *context, struct walk_dir *dir, struct error *error)
{
    struct os_stat found;
    if (os_stat(dir->fds[0], &found) != 0)
        return error_errno(error, "cannot read the attributes");
    unsigned acl = os_has_acl_at(dir->fds[0], "") ? FIXUP_ACL : 0U;
    return add(context, dir, "",
               (struct fixup){.what = FIXUP_DIRECTORY | acl | lock_bits(&found),
                              .entries = dir->sums[ENTRIES],
                              .bytes = dir->sums[BYTES]});
}

static const struct walk_visitor visitor = {.entry = visit_entry, .leave = visit_leave};

int fixups_scan(struct fixups *out_list, int dirfd, const char *name, const struct cancel *cancel,
                struct error *error)
{
    owned(fixups_clear) struct fixups list = FIXUPS_NULL;
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
    fixups_sort(&list);
    *out_list = list;
    list = FIXUPS_NULL;
    return 0;
}
