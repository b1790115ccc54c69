/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/small_calls.h"
#include "tree/inode_map.h"
#include "tree/os.h"
#include "tree/tree.h"
#include "tree/walk.h"

/* A tree that is measured may be in use: what vanishes meanwhile, or has something mounted on it,
 * is left out. */
static int skip_unopened(void *context, struct walk_dir *dir, int sys, struct error *error)
{
    (void) context;
    (void) dir;
    errno = sys;
    bool skip = sys == ENOENT || sys == ENOTDIR || sys == ELOOP || sys == EXDEV;
    return skip ? 0 : walk_open_error(error);
}

enum { MANY = 512 }; /* more take longer than small calls, which come first then */

struct measurement {
    struct walk *walk;
    uint64_t entries;
    const struct timestamp *since; /* NULL = everything counts */
    struct inode_map seen;         /* inodes with several names */
    struct tree_usage usage;
};

static bool is_older(const struct measurement *measurement, const struct os_stat *found)
{
    struct timestamp changed = {.seconds = found->ctime.tv_sec,
                                .nanos = (int32_t) found->ctime.tv_nsec};
    return measurement->since && !timestamp_after(changed, *measurement->since);
}

/* name is "" where dirfd is the inode. */
static void count_inode(struct measurement *measurement, const struct os_stat *found, int dirfd,
                        const char *name)
{
    if (is_older(measurement, found))
        return;
    if (found->nlink > 1 && !S_ISDIR(found->mode)) {
        if (inode_map_get(&measurement->seen, found->dev, found->ino))
            return;
        inode_map_add(&measurement->seen, found->dev, found->ino, 1);
    }
    uint64_t private_bytes = 0;
    if (!S_ISREG(found->mode) || !os_private_bytes(dirfd, name, &private_bytes))
        private_bytes = found->allocated_bytes;
    measurement->usage.inodes++;
    measurement->usage.bytes += found->allocated_bytes;
    measurement->usage.private_bytes += private_bytes;
}

/* Some file systems count no blocks: then a file that has data takes as many as its size needs. One
 * that is all hole has no blocks elsewhere, either. */
static uint64_t uncounted_bytes(const struct walk_dir *dir, const char *name, uint64_t size)
{
    enum { BLOCK_BYTES = 4096 };
    owned(fd_close) int fd = os_open_file(dir->fds[0], name);
    if (fd < 0 || lseek(fd, 0, SEEK_DATA) < 0)
        return 0;
    return (size + BLOCK_BYTES - 1) / BLOCK_BYTES * BLOCK_BYTES;
}

static int measure_entry(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                         struct error *error)
{
    struct measurement *measurement = context;
    struct os_stat found;
    if (++measurement->entries > MANY)
        small_calls_give_way();
    if (os_stat_at(dir->fds[0], entry->name, &found) != 0)
        return errno == ENOENT ? 0 : error_errno(error, "cannot read the attributes");
    if (found.mount_root)
        return 0;
    if (S_ISREG(found.mode) && found.size_bytes > 0 && found.allocated_bytes == 0 &&
        !is_older(measurement, &found))
        found.allocated_bytes = uncounted_bytes(dir, entry->name, found.size_bytes);
    count_inode(measurement, &found, dir->fds[0], entry->name);
    if (S_ISDIR(found.mode))
        walk_enter(measurement->walk, dir, entry->name);
    return 0;
}

static const struct walk_visitor measure_visitor = {.entry = measure_entry,
                                                    .unopened = skip_unopened};

int tree_measure(int dirfd, const char *name, const struct timestamp *since,
                 const struct cancel *cancel, struct tree_usage *out_usage, struct error *error)
{
    struct measurement measurement = {.since = since};
    struct os_stat root;
    owned(fd_close) int fd = os_open_root(dirfd, name);
    if (fd < 0 || os_stat(fd, &root) != 0)
        return walk_root_error(name, error);
    count_inode(&measurement, &root, fd, "");
    struct walk_options options = {.visitor = &measure_visitor,
                                   .context = &measurement,
                                   .cancel = cancel,
                                   .trees = 1,
                                   .threads = 1};
    owned(walk_clear) struct walk *walk = walk_new(&options, (int[]){fd_take(&fd), -1});
    measurement.walk = walk;
    int code = walk_run(walk, error);
    inode_map_clear(&measurement.seen);
    if (code == 0)
        *out_usage = measurement.usage;
    return code;
}

/* What a tree may still have and be small. */
struct allowance {
    struct walk *walk;
    uint64_t entries;
    uint64_t bytes;
};

/* 1 if the file has more bytes than are left. */
static int count_bytes(struct allowance *left, const struct walk_dir *dir, const char *name,
                       struct error *error)
{
    struct os_stat found;
    if (left->bytes == TREE_ANY_BYTES)
        return 0;
    if (os_stat_at(dir->fds[0], name, &found) != 0)
        return error_errno(error, "cannot read the attributes");
    if (found.size_bytes > left->bytes)
        return 1;
    left->bytes -= found.size_bytes;
    return 0;
}

static int count_entry(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                       struct error *error)
{
    struct allowance *left = context;
    int type = walk_entry_type(dir, entry);
    if (type < 0)
        return error_errno(error, "cannot read the attributes");
    if (left->entries-- == 0)
        return 1;
    if (type == DT_DIR)
        walk_enter(left->walk, dir, entry->name);
    return type == DT_REG ? count_bytes(left, dir, entry->name, error) : 0;
}

static const struct walk_visitor count_visitor = {.entry = count_entry};

bool tree_is_small(int dirfd, const char *name, uint64_t max_entries, uint64_t max_bytes)
{
    owned(fd_close) int fd = os_open_root(dirfd, name);
    if (fd < 0 || max_entries == 0)
        return false;
    struct allowance left = {.entries = max_entries - 1, .bytes = max_bytes}; /* the root is one */
    struct walk_options options = {
        .visitor = &count_visitor, .context = &left, .trees = 1, .threads = 1};
    owned(walk_clear) struct walk *walk = walk_new(&options, (int[]){fd_take(&fd), -1});
    left.walk = walk;
    return walk_run(walk, NULL) == 0;
}
