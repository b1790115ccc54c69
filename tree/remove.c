/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/os.h"
#include "tree/tree.h"
#include "tree/walk.h"

struct removal {
    struct walk *walk;
    _Atomic(char *) busy_path; /* the first that could not be removed; NULL while all goes well */
};

/* A marked directory holds something busy and cannot go either. */
static void mark_busy(struct removal *removal, struct walk_dir *dir, const char *name)
{
    char *expected = NULL;
    char *path = walk_dir_describe(dir, name);
    atomic_store(&dir->marked, true);
    if (!atomic_compare_exchange_strong(&removal->busy_path, &expected, path))
        mem_free(&path);
}

/* These clear what may forbid a removal. Best effort: the next try tells. */
static void unlock_dir(int fd)
{
    (void) os_change_flags(fd, OS_FLAGS_LOCKING, false);
    (void) fchmod(fd, 0700);
}

static void unlock_entry(int dirfd, const char *name)
{
    struct os_stat found;
    if (os_stat_at(dirfd, name, &found) != 0)
        return;
    /* A device must not be opened. Of other kinds only macOS has flags, by a handle. */
    bool is_plain = S_ISREG(found.mode) || S_ISDIR(found.mode);
    owned(fd_close) int fd = is_plain ? os_open_file(dirfd, name) : os_open_handle(dirfd, name);
    if (fd >= 0)
        (void) os_change_flags(fd, OS_FLAGS_LOCKING, false);
}

/* unlinkat(2) that does not stop at flags; what is gone already counts as removed. The directory
 * itself is unlocked only if it is a part of the tree. */
static int unlink_entry(int dirfd, const char *name, int flags, bool in_tree)
{
    int result = unlinkat(dirfd, name, flags);
    if (result != 0 && (errno == EPERM || errno == EACCES)) {
        if (in_tree)
            unlock_dir(dirfd);
        unlock_entry(dirfd, name);
        result = unlinkat(dirfd, name, flags);
    }
    return result != 0 && errno == ENOENT ? 0 : result;
}

static int remove_entry(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                        struct error *error)
{
    struct removal *removal = context;
    bool is_dir = entry->type == DT_DIR;
    if (!is_dir && unlink_entry(dir->fds[0], entry->name, 0, true) != 0) {
        is_dir = errno == EISDIR; /* of unknown type */
        if (!is_dir && errno != EBUSY)
            return error_errno(error, "cannot remove");
        if (!is_dir)
            mark_busy(removal, dir, entry->name);
    }
    if (is_dir)
        walk_enter(removal->walk, dir, entry->name);
    return 0;
}

static int keep_unopened(void *context, struct walk_dir *dir, int sys, struct error *error)
{
    errno = sys;
    if (sys == ENOENT)
        return 0;
    if (sys != EXDEV && sys != ENOTDIR && sys != ELOOP)
        return walk_open_error(error);
    mark_busy(context, dir, "");
    return 0;
}

static bool means_busy(int sys)
{
    return sys == EBUSY || sys == ENOTEMPTY || sys == EEXIST;
}

static int remove_dir(void *context, struct walk_dir *dir, struct error *error)
{
    struct removal *removal = context;
    struct walk_dir *parent = dir->parent;
    if (atomic_load(&dir->marked)) {
        atomic_store(&parent->marked, true);
        return 0;
    }
    if (walk_use(removal->walk, parent) != 0)
        return walk_open_error(error);
    int result = unlink_entry(parent->fds[0], dir->name, AT_REMOVEDIR, true);
    int sys = errno;
    walk_unuse(removal->walk, parent);
    if (result == 0)
        return 0;
    errno = sys;
    if (!means_busy(sys))
        return error_errno(error, "cannot remove");
    mark_busy(removal, parent, dir->name);
    return 0;
}

static const struct walk_visitor visitor = {
    .entry = remove_entry, .done = remove_dir, .unopened = keep_unopened};

static int remove_root(int dirfd, const char *name, int flags, struct error *error)
{
    if (unlink_entry(dirfd, name, flags, false) == 0)
        return 0;
    if (means_busy(errno))
        return error_set(error, ERROR_BUSY, "%s is in use", name);
    return error_errno(error, "cannot remove %s", name);
}

/* Empties the directory fd, which it takes. */
static int remove_contents(int take_fd, const struct cancel *cancel, struct error *error)
{
    struct removal removal = {.busy_path = NULL};
    struct walk_options options = {
        .visitor = &visitor, .context = &removal, .cancel = cancel, .trees = 1, .threads = 1};
    owned(walk_clear) struct walk *walk = walk_new(&options, (int[]){take_fd, -1});
    removal.walk = walk;
    int code = walk_run(walk, error);
    owned(mem_free) char *busy_path = atomic_load(&removal.busy_path);
    if (code == 0 && busy_path)
        return error_set(error, ERROR_BUSY, "%s is in use or mounted", busy_path);
    return code;
}

int tree_remove(int dirfd, const char *name, const struct cancel *cancel, struct error *error)
{
    int fd = os_open_root(dirfd, name);
    if (fd < 0 && errno == ENOENT)
        return 0;
    if (fd < 0 && errno == EXDEV)
        return error_set(error, ERROR_BUSY, "%s is mounted", name);
    if (fd < 0 && (errno == ENOTDIR || errno == ELOOP))
        return remove_root(dirfd, name, 0, error);
    if (fd < 0)
        return error_errno(error, "cannot open %s", name);
    int code = remove_contents(fd, cancel, error);
    return code == 0 ? remove_root(dirfd, name, AT_REMOVEDIR, error) : code;
}
