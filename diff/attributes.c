/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/attributes.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "diff/unpacking.h"
#include "diff/xattr_filter.h"
#include "tree/os.h"

static atomic_ulong left_out_count[XATTR_ANSWERS];
static atomic_ulong unsupported_count;
static atomic_ulong birth_count;

static int get_status(const struct attributes_target *target, struct stat *out)
{
    return target->fd >= 0 ? fstat(target->fd, out)
                           : fstatat(target->dirfd, target->name, out, AT_SYMLINK_NOFOLLOW);
}

static int set_owner(const struct attributes_target *target, uid_t uid, gid_t gid)
{
    return target->fd >= 0 ? fchown(target->fd, uid, gid)
                           : fchownat(target->dirfd, target->name, uid, gid, AT_SYMLINK_NOFOLLOW);
}

static int set_mode(const struct attributes_target *target, mode_t mode)
{
    return target->fd >= 0 ? fchmod(target->fd, mode)
                           : fchmodat(target->dirfd, target->name, mode, AT_SYMLINK_NOFOLLOW);
}

static int set_times(const struct attributes_target *target, const struct timespec times[2])
{
    return target->fd >= 0 ? futimens(target->fd, times)
                           : utimensat(target->dirfd, target->name, times, AT_SYMLINK_NOFOLLOW);
}

static void log_left_out(const char *name, enum xattr_answer answer)
{
    static const char *const reasons[XATTR_ANSWERS] = {
        [XATTR_TRUSTED] = "only this machine's administrator sets it",
        [XATTR_PRIVATE] = "it belongs to the Mac that it came from",
        [XATTR_UNNAMEABLE] = "this system takes no such name"};
    if (log_count(&left_out_count[answer]))
        log_warn("extended attribute %s of a layer left out: %s (logged once)", name,
                 reasons[answer]);
}

/* fd may be a handle. */
static int set_xattr(int fd, mode_t mode, const struct pax_xattr *xattr, struct error *error)
{
    enum xattr_answer answer = xattr_restore(layer_system, xattr->name);
    if (answer != XATTR_RESTORED) {
        log_left_out(xattr->name, answer);
        return 0;
    }
    if (os_xattr_set(fd, xattr->name, xattr->value, xattr->size) == 0)
        return 0;
    if (errno == EPERM && strncmp(xattr->name, "user.", 5) == 0 && !S_ISREG(mode) && !S_ISDIR(mode))
        return 0; /* such files have none */
    if (errno != EOPNOTSUPP) {
        int code = unpacking_errno(error, "cannot set it");
        (void) error_wrap(error, "extended attribute %.255s", xattr->name);
        return code;
    }
    if (log_count(&unsupported_count))
        log_warn("extended attribute %s of a layer left out: the file system does not support it "
                 "(logged once)",
                 xattr->name);
    return 0;
}

static int set_xattrs(const struct attributes_target *target, mode_t mode,
                      const struct archive_item *item, struct error *error)
{
    owned(fd_close) int handle = target->fd < 0 ? os_open_handle(target->dirfd, target->name) : -1;
    if (target->fd < 0 && handle < 0)
        return errno == EOPNOTSUPP
                   ? 0
                   : unpacking_errno(error, "cannot open it for its extended attributes");
    for (size_t i = 0; i < item->xattr_count; i++) {
        int code = set_xattr(target->fd >= 0 ? target->fd : handle, mode, &item->xattrs[i], error);
        if (code != 0)
            return code;
    }
    return 0;
}

static int set_birth(const struct attributes_target *target, const struct timespec *birth,
                     struct error *error)
{
    int result = target->fd >= 0 ? os_set_birth(target->fd, birth)
                                 : os_set_birth_at(target->dirfd, target->name, birth);
    if (result == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return unpacking_errno(error, "cannot set the birth time");
    if (log_count(&birth_count))
        log_debug("birth times of a layer left out: nobody can set them here (logged once)");
    return 0;
}

int attributes_set(const struct attributes_target *target, const struct archive_item *item,
                   struct error *error)
{
    struct stat found;
    if (get_status(target, &found) != 0)
        return unpacking_errno(error, "cannot read the attributes");
    /* A chown to the same owner is not nothing for a file that was there: it ends capabilities. */
    bool chowned =
        found.st_uid != item->uid || found.st_gid != item->gid || item->type == ENTRY_HARD_LINK;
    if (chowned && set_owner(target, item->uid, item->gid) != 0)
        return unpacking_errno(error, "cannot set the owner");
    if (item->xattr_count > 0) {
        int code = set_xattrs(target, found.st_mode, item, error);
        if (code != 0)
            return code;
    }
    /* A new owner drops set-id bits, an ACL among the xattrs changes the mode. */
    bool same = (found.st_mode & 07777) == item->mode && item->xattr_count == 0 &&
                !(chowned && (item->mode & 07000));
    if (!S_ISLNK(found.st_mode) && !same && set_mode(target, item->mode) != 0)
        return unpacking_errno(error, "cannot set the mode");
    const struct timespec times[2] = {item->atime, item->mtime};
    if (set_times(target, times) != 0)
        return unpacking_errno(error, "cannot set the times");
    return item->has_birth ? set_birth(target, &item->birth, error) : 0;
}
