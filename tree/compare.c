/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/inode_map.h"
#include "tree/os.h"
#include "tree/tree.h"
#include "tree/walk.h"
#include "tree/xattr.h"

enum { A, B, TREES };
enum { BUFFER_BYTES = 128 << 10 };

struct comparison {
    struct walk *walk;
    struct inode_map groups[TREES]; /* number of the hard-link group of an inode */
    uintptr_t group_count;
    char *buffers[TREES];
    char *difference; /* set once: path and what differs */
};

/* The functions below return 0 for equal, 1 after differ, or an error. */

static int differ(struct comparison *comparison, const struct walk_dir *dir, const char *name,
                  const char *what)
{
    owned(mem_free) char *path = walk_dir_describe(dir, name);
    comparison->difference = mem_printf("%s: %s", path[0] ? path : ".", what);
    return 1;
}

/* Groups are equal if each inode of one tree always meets the same inode of the other. */
static bool same_hardlink_group(struct comparison *comparison, const struct os_stat stats[TREES])
{
    uintptr_t groups[TREES];
    if (S_ISDIR(stats[A].mode) || (stats[A].nlink == 1 && stats[B].nlink == 1))
        return true;
    for (int i = A; i < TREES; i++)
        groups[i] = inode_map_get(&comparison->groups[i], stats[i].dev, stats[i].ino);
    if (groups[A] || groups[B])
        return groups[A] == groups[B];
    comparison->group_count++;
    for (int i = A; i < TREES; i++)
        inode_map_add(&comparison->groups[i], stats[i].dev, stats[i].ino, comparison->group_count);
    return true;
}

/* What differs between the attributes of two inodes, or NULL. */
static const char *find_difference(struct comparison *comparison, const struct os_stat stats[TREES])
{
    const struct os_stat *a = &stats[A];
    const struct os_stat *b = &stats[B];
    if ((a->mode & S_IFMT) != (b->mode & S_IFMT))
        return "type";
    if (a->mode != b->mode)
        return "mode";
    if (a->uid != b->uid || a->gid != b->gid)
        return "owner";
    if (a->rdev != b->rdev)
        return "device number";
    if (S_ISREG(a->mode) && a->size_bytes != b->size_bytes)
        return "size";
    if (a->mtime.tv_sec != b->mtime.tv_sec || a->mtime.tv_nsec != b->mtime.tv_nsec)
        return "modification time";
    if (a->birth.tv_sec != b->birth.tv_sec || a->birth.tv_nsec != b->birth.tv_nsec)
        return "birth time";
    if ((S_ISREG(a->mode) || S_ISDIR(a->mode)) && a->flags != b->flags)
        return "inode flags";
    if (!same_hardlink_group(comparison, stats))
        return "hard links";
    return NULL;
}

static int compare_xattrs(struct comparison *comparison, const struct walk_dir *dir,
                          const char *name, const int fds[TREES], struct error *error)
{
    owned(mem_free) char *attribute = NULL;
    int equal = xattr_equal(fds[A], fds[B], &attribute, error);
    if (equal != 0)
        return equal > 0 ? 0 : equal;
    owned(mem_free) char *what = mem_printf("extended attribute %s", attribute);
    return differ(comparison, dir, name, what);
}

static int compare_links(struct comparison *comparison, const struct walk_dir *dir,
                         const char *name, const int fds[TREES], struct error *error)
{
    ssize_t lengths[TREES];
    for (int i = A; i < TREES; i++) {
        lengths[i] = os_read_link(fds[i], comparison->buffers[i], PATH_MAX);
        if (lengths[i] < 0)
            return error_errno(error, "cannot read the link");
    }
    if (lengths[A] == lengths[B] &&
        memcmp(comparison->buffers[A], comparison->buffers[B], (size_t) lengths[A]) == 0)
        return 0;
    return differ(comparison, dir, name, "target of the link");
}

/* True if b has data where a has a hole. The reverse is no loss: a file system may have reserved
 * space for what was never written. */
static bool holes_were_filled(const int fds[TREES], off_t size)
{
    for (off_t data = 0; data < size;) {
        off_t hole = lseek(fds[A], data, SEEK_HOLE);
        if (hole < 0 || hole >= size)
            return false;
        data = lseek(fds[A], hole, SEEK_DATA);
        if (data < 0)
            data = size;
        off_t filled = lseek(fds[B], hole, SEEK_DATA);
        if (filled >= 0 && filled < data)
            return true;
    }
    return false;
}

static int compare_bytes(struct comparison *comparison, const struct walk_dir *dir,
                         const char *name, const int fds[TREES], struct error *error)
{
    for (off_t offset = 0;;) {
        ssize_t lengths[TREES];
        for (int i = A; i < TREES; i++) {
            lengths[i] = pread(fds[i], comparison->buffers[i], BUFFER_BYTES, offset);
            if (lengths[i] < 0)
                return error_errno(error, "cannot read");
        }
        if (lengths[A] != lengths[B] ||
            memcmp(comparison->buffers[A], comparison->buffers[B], (size_t) lengths[A]) != 0)
            return differ(comparison, dir, name, "content");
        if (lengths[A] == 0)
            return 0;
        offset += lengths[A];
    }
}

static int compare_inside(struct comparison *comparison, const struct walk_dir *dir,
                          const char *name, const struct os_stat *stat, struct error *error)
{
    bool is_file = S_ISREG(stat->mode);
    int (*open_entry)(int, const char *) = is_file ? os_open_file : os_open_handle;
    owned(fd_close) int a_fd = open_entry(dir->fds[A], name);
    owned(fd_close) int b_fd = open_entry(dir->fds[B], name);
    int fds[TREES] = {a_fd, b_fd};
    if (a_fd < 0 || b_fd < 0)
        return errno == EOPNOTSUPP ? 0 : walk_open_error(error);
    /* An attribute may be where the file system keeps the target: the target goes first. */
    int result = S_ISLNK(stat->mode) ? compare_links(comparison, dir, name, fds, error) : 0;
    if (result == 0)
        result = compare_xattrs(comparison, dir, name, fds, error);
    if (result != 0 || !is_file)
        return result;
    if (holes_were_filled(fds, (off_t) stat->size_bytes))
        return differ(comparison, dir, name, "holes");
    return compare_bytes(comparison, dir, name, fds, error);
}

static int visit_entry(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                       struct error *error)
{
    struct comparison *comparison = context;
    struct os_stat stats[TREES];
    for (int i = A; i < TREES; i++) {
        if (os_stat_at(dir->fds[i], entry->name, &stats[i]) == 0)
            continue;
        if (i == B && errno == ENOENT)
            return differ(comparison, dir, entry->name, "is in the first tree only");
        return error_errno(error, "cannot read the attributes");
    }
    const char *what = find_difference(comparison, stats);
    if (what)
        return differ(comparison, dir, entry->name, what);
    if (!S_ISDIR(stats[A].mode))
        return compare_inside(comparison, dir, entry->name, &stats[A], error);
    walk_enter(comparison->walk, dir, entry->name);
    return 0;
}

/* The walk reads the first tree; here is what only the second one has. */
static int find_additions(struct comparison *comparison, const struct walk_dir *dir,
                          struct error *error)
{
    owned(dir_stream_clear) struct dir_stream stream;
    dir_stream_init(&stream);
    int more;
    while ((more = dir_stream_fill(&stream, dir->fds[B])) > 0) {
        struct dir_entry entry;
        while (dir_stream_next(&stream, &entry)) {
            struct os_stat found;
            if (os_stat_at(dir->fds[A], entry.name, &found) == 0)
                continue;
            if (errno == ENOENT)
                return differ(comparison, dir, entry.name, "is in the second tree only");
            return error_errno(error, "cannot read the attributes of %s", entry.name);
        }
    }
    return more == 0 ? 0 : error_errno(error, "cannot read a directory");
}

static int compare_roots(struct comparison *comparison, const struct walk_dir *root,
                         struct error *error)
{
    struct os_stat stats[TREES];
    for (int i = A; i < TREES; i++)
        if (os_stat(root->fds[i], &stats[i]) != 0)
            return error_errno(error, "cannot read the attributes of the root");
    const char *what = find_difference(comparison, stats);
    return what ? differ(comparison, root, "", what) : 0;
}

static int visit_leave(void *context, struct walk_dir *dir, struct error *error)
{
    struct comparison *comparison = context;
    int result = find_additions(comparison, dir, error);
    if (result == 0 && !dir->parent)
        result = compare_roots(comparison, dir, error);
    return result != 0 ? result : compare_xattrs(comparison, dir, "", dir->fds, error);
}

static const struct walk_visitor visitor = {.entry = visit_entry, .leave = visit_leave};

static void comparison_clear(struct comparison *comparison)
{
    for (int i = A; i < TREES; i++) {
        inode_map_clear(&comparison->groups[i]);
        mem_free(&comparison->buffers[i]);
    }
    mem_free(&comparison->difference);
}

int tree_compare(int a_dirfd, const char *a_name, int b_dirfd, const char *b_name,
                 char **out_difference, struct error *error)
{
    owned(fd_close) int a_fd = os_open_root(a_dirfd, a_name);
    if (a_fd < 0)
        return walk_root_error(a_name, error);
    owned(fd_close) int b_fd = os_open_root(b_dirfd, b_name);
    if (b_fd < 0)
        return walk_root_error(b_name, error);
    owned(comparison_clear) struct comparison comparison = {
        .buffers = {mem_alloc(BUFFER_BYTES), mem_alloc(BUFFER_BYTES)}};
    struct walk_options options = {
        .visitor = &visitor, .context = &comparison, .trees = TREES, .threads = 1};
    owned(walk_clear) struct walk *walk =
        walk_new(&options, (int[]){fd_take(&a_fd), fd_take(&b_fd)});
    comparison.walk = walk;
    int result = walk_run(walk, error);
    if (result > 0)
        *out_difference = mem_take(&comparison.difference);
    return result;
}
