/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "tree/xattr.h"

static const mode_t permissions = 0777;
static const mode_t owner_permissions = 0700;
static const mode_t all_mode_bits = 07777;

const char clone_reflink_name[] = "reflink (FICLONE)";

static atomic_ulong copied_files;

/* An ACL that the new root inherited would be inherited by all that is made below it. Removing one
 * succeeds even where there is none. */
static bool drop_inherited_acl(int fd)
{
    if (fgetxattr(fd, "system.posix_acl_default", NULL, 0) < 0)
        return false;
    (void) fremovexattr(fd, "system.posix_acl_access");
    (void) fremovexattr(fd, "system.posix_acl_default");
    return true;
}

int clone_make_root(struct clone *clone, int dirfd, const char *name, struct error *error)
{
    struct os_stat made;
    if (mkdirat(dirfd, name, permissions) != 0)
        return errno == EEXIST ? error_set(error, ERROR_EXISTS, "%s exists already", name)
                               : error_errno(error, "cannot make the directory %s", name);
    owned(fd_close) int fd = os_open_root(dirfd, name);
    if (fd < 0 || os_stat(fd, &made) != 0)
        return error_errno(error, "cannot open the directory %s", name);
    clone->made_owner_known = !(made.mode & S_ISGID);
    clone->made_uid = made.uid;
    clone->made_gid = made.gid;
    clone->made_mode_mask = drop_inherited_acl(fd) ? 0 : made.mode & permissions;
    if (fchmod(fd, owner_permissions) != 0)
        return error_errno(error, "cannot set the mode of the directory %s", name);
    return fd_take(&fd);
}

static mode_t making_mode(const struct os_stat *origin)
{
    return (origin->mode & permissions) | owner_permissions;
}

int clone_make_dir(const struct os_stat *origin, int dirfd, const char *name, struct error *error)
{
    return mkdirat(dirfd, name, making_mode(origin)) == 0
               ? 0
               : error_errno(error, "cannot make the directory");
}

static bool clears_flags(int fd)
{
    return os_change_flags(fd, OS_FLAGS_ALL, false) == 0 || errno == ENOTTY || errno == EOPNOTSUPP;
}

int clone_ready_dir(int fd, struct error *error)
{
    if (!clears_flags(fd))
        return error_errno(error, "cannot clear the flags of the directory");
    (void) fremovexattr(fd, "system.posix_acl_access"); /* inherited, or of before */
    (void) fremovexattr(fd, "system.posix_acl_default");
    return fchmod(fd, owner_permissions) == 0
               ? 0
               : error_errno(error, "cannot set the mode of the directory");
}

int clone_origin_open(struct clone_origin *origin, int dirfd, const char *name, int type,
                      struct error *error)
{
    origin->fd = type == DT_REG ? os_open_file(dirfd, name) : os_open_handle(dirfd, name);
    if (origin->fd < 0)
        return walk_open_error(error);
    if (os_stat(origin->fd, &origin->stat) != 0)
        return error_errno(error, "cannot read the attributes");
    if ((int) IFTODT(origin->stat.mode) != type)
        return error_set(error, ERROR_PRECONDITION, "changed while the tree was being read");
    return 0;
}

void clone_origin_close(struct clone_origin *origin)
{
    fd_close(&origin->fd);
}

static bool owner_differs(const struct clone *clone, const struct os_stat *stat)
{
    return !clone->made_owner_known || stat->uid != clone->made_uid || stat->gid != clone->made_gid;
}

/* Makes the empty target share all data of source; answers as clone_share_file. */
static int share_data(int source_fd, int target_fd)
{
    if (fault_point("tree.clone.share") == 0 && ioctl(target_fd, FICLONE, source_fd) == 0)
        return 1;
    if (errno == EOPNOTSUPP || errno == EXDEV || errno == ENOTTY || errno == EINVAL)
        return 0;
    return -1;
}

int clone_share_file(int source_fd, int dirfd, const char *name, int *out_fd)
{
    owned(fd_close) int fd =
        openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    int shared = share_data(source_fd, fd);
    if (shared > 0) {
        *out_fd = fd_take(&fd);
        return shared;
    }
    int saved = errno;
    (void) unlinkat(dirfd, name, 0);
    errno = saved;
    return shared;
}

/*
 * Whether it makes no sense to try further files, after errno. EINVAL is about a file alone, and
 * EOPNOTSUPP may be: only a volume that has refused many and never cloned one cannot do it at all.
 */
static bool refused_for_good(struct clone *clone)
{
    enum { ENOUGH = 16 };
    if (errno == EINVAL)
        return false;
    if (errno != EOPNOTSUPP)
        return true;
    return atomic_fetch_add(&clone->refusals, 1) + 1 >= ENOUGH &&
           atomic_load(&clone->bytes_shared) == 0;
}

static int share_or_copy(struct clone *clone, const struct clone_origin *origin, int target_fd,
                         struct error *error)
{
    uint64_t size = origin->stat.size_bytes;
    if (!atomic_load(&clone->reflink_refused)) {
        int shared = share_data(origin->fd, target_fd);
        if (shared < 0)
            return error_errno(error, "cannot clone the data");
        if (shared > 0) {
            atomic_fetch_add(&clone->bytes_shared, size);
            return 0;
        }
        if (refused_for_good(clone))
            atomic_store(&clone->reflink_refused, true);
    }
    if (log_count(&copied_files))
        log_warn("file data is copied, since the volume cannot clone it (logged once)");
    return clone_copy(origin->fd, target_fd, size, clone->cancel, &clone->bytes_copied, error);
}

static int set_mode_and_times(const struct os_stat *stat, int fd, mode_t made_mode,
                              struct error *error)
{
    if ((stat->mode & all_mode_bits) != made_mode && fchmod(fd, stat->mode & all_mode_bits) != 0)
        return error_errno(error, "cannot set the mode");
    if (futimens(fd, (struct timespec[]){stat->atime, stat->mtime}) != 0)
        return error_errno(error, "cannot set the times");
    return 0;
}

/*
 * Attributes of what is open as fd and was made with made_mode. The order is forced: chown drops
 * set-id bits and file capabilities, and an immutable inode takes no change at all.
 */
static int set_attributes(struct clone *clone, const struct clone_origin *origin, int fd,
                          mode_t made_mode, bool with_flags, struct error *error)
{
    const struct os_stat *stat = &origin->stat;
    owned(xattr_names_clear) struct xattr_names names = {0};
    if (owner_differs(clone, stat) && fchown(fd, stat->uid, stat->gid) != 0)
        return error_errno(error, "cannot set the owner");
    int code = xattr_names_read(&names, origin->fd, error);
    if (code == 0)
        code = xattr_copy(&names, origin->fd, fd, error);
    if (code == 0)
        code = set_mode_and_times(stat, fd, made_mode, error);
    if (code != 0)
        return code;
    if (with_flags && stat->flags && os_change_flags(fd, stat->flags, true) != 0)
        return error_errno(error, "cannot set the inode flags");
    return 0;
}

static int make_file(struct clone *clone, const struct clone_origin *origin, int dirfd,
                     const char *name, bool with_flags, struct error *error)
{
    mode_t mode = origin->stat.mode & permissions;
    owned(fd_close) int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
    if (fd < 0)
        return error_errno(error, "cannot create");
    int code = origin->stat.size_bytes > 0 ? share_or_copy(clone, origin, fd, error) : 0;
    if (code != 0)
        return code;
    return set_attributes(clone, origin, fd, mode & clone->made_mode_mask, with_flags, error);
}

/* As set_attributes, of a symlink, device, FIFO or socket. Only what this call has made can be
 * behind the name, so fchmodat following a link is no danger. */
static int set_named_attributes(struct clone *clone, const struct clone_origin *origin, int dirfd,
                                const char *name, mode_t made_mode, struct error *error)
{
    const struct os_stat *stat = &origin->stat;
    if (owner_differs(clone, stat) &&
        fchownat(dirfd, name, stat->uid, stat->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "cannot set the owner");
    int code = xattr_copy_named(origin->fd, dirfd, name, error);
    if (code != 0)
        return code;
    if (!S_ISLNK(stat->mode) && (stat->mode & all_mode_bits) != made_mode &&
        fchmodat(dirfd, name, stat->mode & all_mode_bits, 0) != 0)
        return error_errno(error, "cannot set the mode");
    if (utimensat(dirfd, name, (struct timespec[]){stat->atime, stat->mtime},
                  AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "cannot set the times");
    return 0;
}

static int make_symlink(struct clone *clone, const struct clone_origin *origin, int dirfd,
                        const char *name, struct error *error)
{
    char target[PATH_MAX];
    ssize_t length = os_read_link(origin->fd, target, sizeof target - 1);
    if (length < 0)
        return error_errno(error, "cannot read the link");
    target[length] = '\0';
    if (symlinkat(target, dirfd, name) != 0)
        return error_errno(error, "cannot make the link");
    return set_named_attributes(clone, origin, dirfd, name, 0, error);
}

static int make_special(struct clone *clone, const struct clone_origin *origin, int dirfd,
                        const char *name, struct error *error)
{
    mode_t mode = origin->stat.mode & permissions;
    if (mknodat(dirfd, name, (origin->stat.mode & S_IFMT) | mode, origin->stat.rdev) != 0)
        return error_errno(error, "cannot make the special file");
    return set_named_attributes(clone, origin, dirfd, name, mode & clone->made_mode_mask, error);
}

int clone_entry(struct clone *clone, const struct clone_origin *origin, int dirfd, const char *name,
                bool with_flags, struct error *error)
{
    switch (origin->stat.mode & S_IFMT) {
    case S_IFREG:
        return make_file(clone, origin, dirfd, name, with_flags, error);
    case S_IFLNK:
        return make_symlink(clone, origin, dirfd, name, error);
    default:
        return make_special(clone, origin, dirfd, name, error);
    }
}

int clone_dir_attributes(struct clone *clone, const struct clone_origin *origin, int target_fd,
                         bool is_root, struct error *error)
{
    mode_t made_mode =
        is_root ? owner_permissions : making_mode(&origin->stat) & clone->made_mode_mask;
    return set_attributes(clone, origin, target_fd, made_mode, !is_root, error);
}

int clone_dir_is_plain(const struct clone_origin *origin, struct error *error)
{
    owned(xattr_names_clear) struct xattr_names names = {0};
    int code = xattr_names_read(&names, origin->fd, error);
    return code != 0 ? code : origin->stat.flags == 0 && names.length == 0;
}

int clone_plain_dir_attributes(const struct os_stat *stat, int fd, struct error *error)
{
    if (fchown(fd, stat->uid, stat->gid) != 0)
        return error_errno(error, "cannot set the owner");
    return set_mode_and_times(stat, fd, owner_permissions, error);
}

/* No call of Linux does. */
int clone_whole_dir(int source_dirfd, const char *source_name, int dirfd, const char *name)
{
    (void) source_dirfd;
    (void) source_name;
    (void) dirfd;
    (void) name;
    errno = EOPNOTSUPP;
    return 0;
}

int clone_repair(int origin_fd, int fd, bool with_acl, bool with_locks, struct error *error)
{
    (void) origin_fd;
    (void) fd;
    (void) with_acl;
    (void) with_locks;
    return error_set(error, ERROR_UNIMPLEMENTED, "no whole directory is cloned here");
}
