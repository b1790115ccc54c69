/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/clone.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/clonefile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "tree/acl_darwin.h"
#include "tree/xattr.h"

/*
 * clonefile(2) makes a new name and brings nearly all attributes along. What it loses (set-id
 * bits, the owner where the caller is not root) is repaired, and only then is the clone opened.
 */

const char clone_reflink_name[] = "reflink (clonefile)";

static const mode_t permissions = 0777;
static const mode_t owner_permissions = 0700;
static const mode_t all_mode_bits = 07777;

/* Flags that forbid changes, and all that are carried over. The others tell how the data is stored
 * or belong to the system. */
static const uint32_t locking_flags = UF_IMMUTABLE | UF_APPEND | SF_IMMUTABLE | SF_APPEND;
static const uint32_t carried_flags = UF_IMMUTABLE | UF_APPEND | SF_IMMUTABLE | SF_APPEND |
                                      UF_NODUMP | UF_OPAQUE | UF_HIDDEN | SF_ARCHIVED | SF_NOUNLINK;

static atomic_ulong copied_files;

/* Of the C library, in none of its headers: the working directory of this thread alone, -1 to have
 * that of the process again. */
int pthread_fchdir_np(int fd);

int clone_make_root(struct clone *clone, int dirfd, const char *name, struct error *error)
{
    (void) clone;
    if (mkdirat(dirfd, name, permissions) != 0)
        return errno == EEXIST ? error_set(error, ERROR_EXISTS, "%s exists already", name)
                               : error_errno(error, "cannot make the directory %s", name);
    owned(fd_close) int fd = os_open_root(dirfd, name);
    if (fd < 0)
        return error_errno(error, "cannot open the directory %s", name);
    /* An ACL that it inherited would be inherited by all that is made below it. */
    if (acl_text_exists(fd) && acl_text_remove(fd) != 0)
        return error_errno(error, "cannot remove the inherited ACL of the directory %s", name);
    if (fchmod(fd, owner_permissions) != 0)
        return error_errno(error, "cannot set the mode of the directory %s", name);
    return fd_take(&fd);
}

int clone_make_dir(const struct os_stat *origin, int dirfd, const char *name, struct error *error)
{
    mode_t mode = (origin->mode & permissions) | owner_permissions;
    return mkdirat(dirfd, name, mode) == 0 ? 0 : error_errno(error, "cannot make the directory");
}

int clone_ready_dir(int fd, struct error *error)
{
    if (os_change_flags(fd, OS_FLAGS_ALL, false) != 0)
        return error_errno(error, "cannot clear the flags of the directory");
    if (acl_text_exists(fd) && acl_text_remove(fd) != 0)
        return error_errno(error, "cannot remove the ACL of the directory");
    return fchmod(fd, owner_permissions) == 0
               ? 0
               : error_errno(error, "cannot set the mode of the directory");
}

/* No handle can be had of the others. */
static bool has_handle(int type)
{
    return type == DT_DIR || type == DT_LNK || type == DT_FIFO;
}

static int describe_origin(struct clone_origin *origin, int dirfd, const char *name, int type,
                           struct error *error)
{
    if (type != DT_REG && !has_handle(type))
        return os_stat_at(dirfd, name, &origin->stat) == 0 ? 0 : walk_open_error(error);
    origin->fd = type == DT_REG ? os_open_file(dirfd, name) : os_open_handle(dirfd, name);
    if (origin->fd < 0)
        return walk_open_error(error);
    return os_stat(origin->fd, &origin->stat) == 0
               ? 0
               : error_errno(error, "cannot read the attributes");
}

int clone_origin_open(struct clone_origin *origin, int dirfd, const char *name, int type,
                      struct error *error)
{
    origin->fd = -1;
    int code = describe_origin(origin, dirfd, name, type, error);
    if (code == 0 && (int) IFTODT(origin->stat.mode) != type)
        code = error_set(error, ERROR_PRECONDITION, "changed while the tree was being read");
    return code;
}

void clone_origin_close(struct clone_origin *origin)
{
    fd_close(&origin->fd);
}

/* Makes name in dirfd a clone. 1, or 0 and errno, or -1 and errno, as clone_share_file. */
static int make_clone(int source_fd, int dirfd, const char *name, uint32_t flags)
{
    if (fclonefileat(source_fd, dirfd, name, CLONE_NOFOLLOW | flags) == 0)
        return 1;
    return errno == ENOTSUP || errno == EOPNOTSUPP || errno == EXDEV || errno == EINVAL ? 0 : -1;
}

/* The flags that an inode with the flags present is to have. */
static uint32_t wanted_flags(uint32_t present, uint32_t origin, bool with_locks)
{
    uint32_t carried = origin & (with_locks ? carried_flags : carried_flags & ~locking_flags);
    return (present & ~carried_flags) | carried;
}

static int set_flags(int fd, uint32_t present, uint32_t wanted, struct error *error)
{
    return present == wanted || fchflags(fd, wanted) == 0
               ? 0
               : error_errno(error, "cannot set the inode flags");
}

/* A directory that is left, and a file that was copied, get all attributes; a clone has its own. */
enum attributes { ALL_ATTRIBUTES, ATTRIBUTES_OF_CLONE };

static int copy_xattrs(int origin_fd, int fd, struct error *error)
{
    owned(xattr_names_clear) struct xattr_names names = {0};
    int code = xattr_names_read(&names, origin_fd, error);
    return code == 0 ? xattr_copy(&names, origin_fd, fd, error) : code;
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Where the volume has no birth times to be set, there is nothing to lose. */
static bool can_set_birth(int result)
{
    return result == 0 || errno == EOPNOTSUPP;
}

/*
 * Makes what is open as fd equal to the origin. The order is forced: an immutable inode takes no
 * change at all, chown drops set-id bits, attributes move times on no system but are set before
 * them on all, and the birth time moves to an earlier mtime.
 */
static int set_attributes(int origin_fd, int fd, enum attributes which, bool with_locks,
                          struct error *error)
{
    struct stat origin;
    struct stat made;
    if (fstat(origin_fd, &origin) != 0 || fstat(fd, &made) != 0)
        return error_errno(error, "cannot read the attributes");
    uint32_t unlocked = made.st_flags & ~locking_flags;
    int code = set_flags(fd, made.st_flags, unlocked, error);
    if (code != 0)
        return code;
    bool chowned = origin.st_uid != made.st_uid || origin.st_gid != made.st_gid;
    if (chowned && fchown(fd, origin.st_uid, origin.st_gid) != 0)
        return error_errno(error, "cannot set the owner");
    if (which == ALL_ATTRIBUTES)
        code = copy_xattrs(origin_fd, fd, error);
    if (code != 0)
        return code;
    if ((chowned || origin.st_mode != made.st_mode) &&
        fchmod(fd, origin.st_mode & all_mode_bits) != 0)
        return error_errno(error, "cannot set the mode");
    if (futimens(fd, (struct timespec[]){origin.st_atimespec, origin.st_mtimespec}) != 0)
        return error_errno(error, "cannot set the times");
    if (!same_time(&origin.st_birthtimespec, &made.st_birthtimespec) &&
        !can_set_birth(os_set_birth(fd, &origin.st_birthtimespec)))
        return error_errno(error, "cannot set the birth time");
    return set_flags(fd, unlocked, wanted_flags(unlocked, origin.st_flags, with_locks), error);
}

/* True if the clone lacks nothing. */
static bool is_equal(const struct stat *origin, const struct stat *made, bool with_locks)
{
    return origin->st_mode == made->st_mode && origin->st_uid == made->st_uid &&
           origin->st_gid == made->st_gid &&
           same_time(&origin->st_atimespec, &made->st_atimespec) &&
           same_time(&origin->st_mtimespec, &made->st_mtimespec) &&
           same_time(&origin->st_birthtimespec, &made->st_birthtimespec) &&
           made->st_flags == wanted_flags(made->st_flags, origin->st_flags, with_locks);
}

int clone_repair(int origin_fd, int fd, bool with_acl, bool with_locks, struct error *error)
{
    struct stat wanted;
    struct stat made;
    if (fstat(origin_fd, &wanted) != 0 || fstat(fd, &made) != 0)
        return error_errno(error, "cannot read the attributes");
    if (!with_acl && is_equal(&wanted, &made, with_locks))
        return 0;
    return set_attributes(origin_fd, fd, with_acl ? ALL_ATTRIBUTES : ATTRIBUTES_OF_CLONE,
                          with_locks, error);
}

static int repair_clone(const struct clone_origin *origin, int dirfd, const char *name,
                        bool with_locks, struct error *error)
{
    struct stat wanted;
    struct stat made;
    if (fstat(origin->fd, &wanted) != 0 || fstatat(dirfd, name, &made, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "cannot read the attributes");
    if (is_equal(&wanted, &made, with_locks))
        return 0;
    owned(fd_close) int fd = os_open_file(dirfd, name);
    if (fd < 0)
        return error_errno(error, "cannot open the clone");
    return set_attributes(origin->fd, fd, ATTRIBUTES_OF_CLONE, with_locks, error);
}

static int copy_file(struct clone *clone, const struct clone_origin *origin, int dirfd,
                     const char *name, bool with_locks, struct error *error)
{
    if (log_count(&copied_files))
        log_warn("file data is copied, since the volume cannot clone it (logged once)");
    owned(fd_close) int fd =
        openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return error_errno(error, "cannot create");
    int code = clone_copy(origin->fd, fd, origin->stat.size_bytes, clone->cancel,
                          &clone->bytes_copied, error);
    return code == 0 ? set_attributes(origin->fd, fd, ALL_ATTRIBUTES, with_locks, error) : code;
}

static int make_file(struct clone *clone, const struct clone_origin *origin, int dirfd,
                     const char *name, bool with_locks, struct error *error)
{
    if (!atomic_load(&clone->reflink_refused)) {
        int shared = make_clone(origin->fd, dirfd, name, CLONE_ACL);
        if (shared < 0)
            return error_errno(error, "cannot clone");
        if (shared > 0) {
            atomic_fetch_add(&clone->bytes_shared, origin->stat.size_bytes);
            return repair_clone(origin, dirfd, name, with_locks, error);
        }
        /* EINVAL is about this file alone. */
        atomic_store(&clone->reflink_refused, errno != EINVAL);
    }
    return copy_file(clone, origin, dirfd, name, with_locks, error);
}

/* As set_attributes, of a symlink, device, FIFO or socket. */
static int set_named_attributes(const struct clone_origin *origin, int dirfd, const char *name,
                                struct error *error)
{
    const struct os_stat *stat = &origin->stat;
    if (fchownat(dirfd, name, stat->uid, stat->gid, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "cannot set the owner");
    int code = origin->fd >= 0 ? xattr_copy_named(origin->fd, dirfd, name, error) : 0;
    if (code != 0)
        return code;
    if (fchmodat(dirfd, name, stat->mode & all_mode_bits, AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "cannot set the mode");
    if (utimensat(dirfd, name, (struct timespec[]){stat->atime, stat->mtime},
                  AT_SYMLINK_NOFOLLOW) != 0)
        return error_errno(error, "cannot set the times");
    if (!can_set_birth(os_set_birth_at(dirfd, name, &stat->birth)))
        return error_errno(error, "cannot set the birth time");
    return 0;
}

static int make_symlink(const struct clone_origin *origin, int dirfd, const char *name,
                        struct error *error)
{
    char target[PATH_MAX];
    ssize_t length = os_read_link(origin->fd, target, sizeof target - 1);
    if (length < 0)
        return error_errno(error, "cannot read the link");
    target[length] = '\0';
    if (symlinkat(target, dirfd, name) != 0)
        return error_errno(error, "cannot make the link");
    return set_named_attributes(origin, dirfd, name, error);
}

/* mknodat(2) makes no sockets, and bind(2) takes a short path and no directory. */
static int make_socket(int dirfd, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX, .sun_len = sizeof address};
    if (strlen(name) >= sizeof address.sun_path) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(address.sun_path, name, strlen(name));
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || fcntl(fd, F_SETFD, FD_CLOEXEC) != 0 || pthread_fchdir_np(dirfd) != 0)
        return -1;
    int result = bind(fd, (const struct sockaddr *) &address, sizeof address);
    int saved = errno;
    (void) pthread_fchdir_np(-1);
    errno = saved;
    return result;
}

static int make_special(const struct clone_origin *origin, int dirfd, const char *name,
                        struct error *error)
{
    mode_t kind = origin->stat.mode & S_IFMT;
    int result = kind == S_IFSOCK  ? make_socket(dirfd, name)
                 : kind == S_IFIFO ? mkfifoat(dirfd, name, 0600)
                                   : mknodat(dirfd, name, kind | 0600, origin->stat.rdev);
    if (result != 0)
        return error_errno(error, "cannot make the special file");
    return set_named_attributes(origin, dirfd, name, error);
}

int clone_entry(struct clone *clone, const struct clone_origin *origin, int dirfd, const char *name,
                bool with_flags, struct error *error)
{
    switch (origin->stat.mode & S_IFMT) {
    case S_IFREG:
        return make_file(clone, origin, dirfd, name, with_flags, error);
    case S_IFLNK:
        return make_symlink(origin, dirfd, name, error);
    default:
        return make_special(origin, dirfd, name, error);
    }
}

int clone_dir_attributes(struct clone *clone, const struct clone_origin *origin, int target_fd,
                         bool is_root, struct error *error)
{
    (void) clone;
    return set_attributes(origin->fd, target_fd, ALL_ATTRIBUTES, !is_root, error);
}

/* None that has a birth time is. */
int clone_dir_is_plain(const struct clone_origin *origin, struct error *error)
{
    (void) origin;
    (void) error;
    return 0;
}

int clone_plain_dir_attributes(const struct os_stat *stat, int fd, struct error *error)
{
    (void) stat;
    (void) fd;
    return error_set(error, ERROR_UNIMPLEMENTED, "no directory is plain here");
}

/* Takes away what came along with the data: a file of ours has none of it. */
static int make_plain(int dirfd, const char *name)
{
    struct stat found;
    owned(fd_close) int fd = os_open_file(dirfd, name);
    if (fd < 0 || fstat(fd, &found) != 0)
        return -1;
    uint32_t plain = found.st_flags & ~carried_flags;
    if (plain != found.st_flags && fchflags(fd, plain) != 0)
        return -1;
    if (fchmod(fd, 0600) != 0 || futimens(fd, NULL) != 0)
        return -1;
    return openat(dirfd, name, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
}

int clone_share_file(int source_fd, int dirfd, const char *name, int *out_fd)
{
    int shared = make_clone(source_fd, dirfd, name, CLONE_NOOWNERCOPY);
    if (shared <= 0)
        return shared;
    int fd = make_plain(dirfd, name);
    if (fd >= 0) {
        *out_fd = fd;
        return 1;
    }
    int saved = errno;
    (void) unlinkat(dirfd, name, 0);
    errno = saved;
    return -1;
}

/* What cannot be cloned as a whole can be, or fails for the same reason, entry by entry. */
int clone_whole_dir(int source_dirfd, const char *source_name, int dirfd, const char *name)
{
    if (clonefileat(source_dirfd, source_name, dirfd, name, CLONE_NOFOLLOW | CLONE_ACL) == 0)
        return 1;
    return errno == ENOSPC || errno == EDQUOT || errno == EIO ? -1 : 0;
}
