/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/clone.h"

#include <errno.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/repair.h"
#include "tree/tree.h"

enum { SOURCE, TARGET };

/* A file with several names: cloned once, linked afterwards. */
static int clone_linked_entry(struct clone *clone, const struct clone_origin *origin,
                              struct walk_dir *dir, const char *name, struct error *error)
{
    bool first = false;
    struct hardlink_group *group = hardlinks_claim(&clone->hardlinks, &origin->stat, &first);
    if (!first)
        return hardlinks_link(&clone->hardlinks, group, dir, name, error);
    int code = clone_entry(clone, origin, dir->fds[TARGET], name, false, error);
    hardlinks_publish(&clone->hardlinks, group, code == 0 ? dir : NULL, name);
    return code;
}

/* A bigger one is cloned in parts, by several threads, which can be stopped in between. An empty
 * one is made as fast; with a single file the one call takes no longer than the two. */
enum { WHOLE_MAX_ENTRIES = 200000 };

/* Clones the directory with this path from the root, and all below it, by one call: 1, or 0 if it
 * is to be made entry by entry. */
static int clone_whole(struct clone *clone, const char *path, int source_dirfd,
                       const char *source_name, int dirfd, const char *name, struct error *error)
{
    size_t begin;
    size_t end;
    if (!clone->fixups || atomic_load(&clone->whole_refused) ||
        !fixups_find(clone->fixups, path, &begin, &end))
        return 0;
    struct path_item sum = fixups_sum(clone->fixups, begin, end);
    if ((sum.what & FIXUP_SPECIAL) || sum.entries > WHOLE_MAX_ENTRIES || sum.entries == 0)
        return 0;
    if (cancel_requested(clone->cancel)) /* nothing stops the call */
        return error_set(error, ERROR_CANCELLED, "asked to stop");
    int made = fault_point("tree.clone.whole") == 0
                   ? clone_whole_dir(source_dirfd, source_name, dirfd, name)
                   : -1;
    if (made < 0)
        return error_errno(error, "cannot clone the directory");
    if (made == 0) {
        if (errno == ENOTSUP || errno == EXDEV)
            atomic_store(&clone->whole_refused, true);
        return 0;
    }
    atomic_fetch_add(&clone->entries, sum.entries);
    atomic_fetch_add(&clone->bytes_shared, sum.bytes);
    return 1;
}

/* XFS puts each new directory into another of its groups, and all files of a directory into its
 * group, which one thread at a time can change: hence the groups. */
static int visit_dir(struct clone *clone, struct walk_dir *dir, const char *name,
                     struct error *error)
{
    struct os_stat origin;
    struct os_stat target;
    owned(mem_free) char *path = clone->fixups ? walk_dir_path(dir, name) : NULL;
    int code = clone_whole(clone, path, dir->fds[SOURCE], name, dir->fds[TARGET], name, error);
    if (code != 0)
        return code > 0 ? 0 : code;
    if (os_stat_at(dir->fds[SOURCE], name, &origin) != 0)
        return walk_open_error(error);
    code = clone_make_dir(&origin, dir->fds[TARGET], name, error);
    if (code != 0)
        return code;
    if (clone->group_bits == 0 || os_stat_at(dir->fds[TARGET], name, &target) != 0)
        target.ino = 0;
    walk_enter_at(clone->walk, dir, name,
                  (const uint64_t[]){os_group(clone->group_bits, origin.ino),
                                     os_group(clone->group_bits, target.ino)});
    return 0;
}

static int visit_entry(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                       struct error *error)
{
    struct clone *clone = context;
    int type = walk_entry_type(dir, entry);
    if (type < 0)
        return walk_open_error(error);
    if (fault_point("tree.clone.file") != 0)
        return error_errno(error, "cannot clone");
    atomic_fetch_add(&clone->entries, 1);
    bulk_note(clone->bulk);
    if (type == DT_DIR)
        return visit_dir(clone, dir, entry->name, error);
    owned(clone_origin_close) struct clone_origin origin = {.fd = -1};
    int code = clone_origin_open(&origin, dir->fds[SOURCE], entry->name, type, error);
    if (code != 0)
        return code;
    bool linked = origin.stat.nlink > 1;
    if (linked && !clone->fixups)
        return clone_linked_entry(clone, &origin, dir, entry->name, error);
    return clone_entry(clone, &origin, dir->fds[TARGET], entry->name, !linked, error);
}

/* Nothing is made in a directory after its own entries, so that is when its times can be set. The
 * root's flags have to wait for finish. */
static int visit_leave(void *context, struct walk_dir *dir, struct error *error)
{
    struct clone *clone = context;
    struct clone_origin origin = {.fd = dir->fds[SOURCE]};
    if (os_stat(origin.fd, &origin.stat) != 0)
        return error_errno(error, "cannot read the attributes");
    return clone_dir_attributes(clone, &origin, dir->fds[TARGET], dir->parent == NULL, error);
}

static const struct walk_visitor visitor = {.entry = visit_entry, .leave = visit_leave};

/* The last change, and the time of it. */
static int finish(struct clone *clone, struct tree_clone_result *out_result, struct error *error)
{
    const struct walk_dir *root = walk_root(clone->walk);
    struct os_stat origin;
    struct os_stat target;
    int code = hardlinks_finish(&clone->hardlinks, error);
    if (code != 0)
        return code;
    if (os_stat(root->fds[SOURCE], &origin) != 0)
        return error_errno(error, "cannot read the attributes of the root");
    if (fchmod(root->fds[TARGET], origin.mode & 07777) != 0 ||
        (origin.flags && os_change_flags(root->fds[TARGET], origin.flags, true) != 0) ||
        os_stat(root->fds[TARGET], &target) != 0)
        return error_errno(error, "cannot finish the root");
    *out_result = (struct tree_clone_result){
        .entries = atomic_load(&clone->entries) + 1,
        .bytes_shared = atomic_load(&clone->bytes_shared),
        .bytes_copied = atomic_load(&clone->bytes_copied),
        .time = {.seconds = target.ctime.tv_sec, .nanos = (int32_t) target.ctime.tv_nsec},
    };
    return 0;
}

/* Walks the two roots, which it takes, unless the whole tree was cloned by one call, and repairs
 * what was. */
static int fill(struct clone *clone, int take_fds[2], bool whole,
                const struct tree_clone_options *options, struct tree_clone_result *out_result,
                struct error *error)
{
    struct walk_options walk_options = {.visitor = &visitor,
                                        .context = clone,
                                        .cancel = options->cancel,
                                        .trees = 2,
                                        .threads = options->threads};
    owned(walk_clear) struct walk *walk = walk_new(&walk_options, take_fds);
    const int *fds = walk_root(walk)->fds;
    owned(bulk_end) struct bulk *bulk = bulk_begin(fds[TARGET]);
    clone->walk = walk;
    clone->bulk = bulk;
    hardlinks_init(&clone->hardlinks, walk);
    int code = whole ? 0 : walk_run(walk, error);
    if (code == 0 && clone->fixups)
        code = repair_tree(clone->fixups, fds[SOURCE], fds[TARGET], options->threads,
                           options->cancel, error);
    if (code == 0)
        code = finish(clone, out_result, error);
    hardlinks_clear(&clone->hardlinks);
    return code;
}

int tree_clone(int src_dirfd, const char *src_name, int dst_dirfd, const char *dst_name,
               const struct tree_clone_options *options, struct tree_clone_result *out_result,
               struct error *error)
{
    struct clone clone = {.cancel = options->cancel, .fixups = options->fixups};
    owned(fd_close) int source_fd = os_open_root(src_dirfd, src_name);
    if (source_fd < 0)
        return walk_root_error(src_name, error);
    int whole = clone_whole(&clone, "", src_dirfd, src_name, dst_dirfd, dst_name, error);
    if (whole < 0)
        return whole;
    owned(fd_close) int target_fd = whole ? os_open_root(dst_dirfd, dst_name)
                                          : clone_make_root(&clone, dst_dirfd, dst_name, error);
    if (target_fd < 0)
        return whole ? walk_root_error(dst_name, error) : target_fd;
    clone.group_bits = os_group_bits(target_fd);
    return fill(&clone, (int[]){fd_take(&source_fd), fd_take(&target_fd)}, whole > 0, options,
                out_result, error);
}

int tree_mark_time(int root_fd, struct timestamp *out_time, struct error *error)
{
    struct os_stat root;
    if (os_stat(root_fd, &root) != 0 || fchmod(root_fd, root.mode & 07777) != 0 ||
        os_stat(root_fd, &root) != 0)
        return error_errno(error, "cannot change the root");
    *out_time =
        (struct timestamp){.seconds = root.ctime.tv_sec, .nanos = (int32_t) root.ctime.tv_nsec};
    return 0;
}

int tree_share_file(int src_fd, int dst_dirfd, const char *dst_name, int *out_fd,
                    struct error *error)
{
    int shared = clone_share_file(src_fd, dst_dirfd, dst_name, out_fd);
    return shared >= 0 ? shared : error_errno(error, "cannot clone the data");
}
