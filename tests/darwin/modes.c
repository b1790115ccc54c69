/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/darwin/internal.h"

static const mode_t set_id = S_ISUID | S_ISGID;

static bool is_symlink(int dirfd, const char *path, int flags)
{
    struct stat found;
    return fstatat(dirfd, path, &found, flags) == 0 && S_ISLNK(found.st_mode);
}

/* Symlinks have a mode there, which nobody reads. */
int darwin_fchmodat(int dirfd, const char *path, mode_t mode, int flags)
{
    if (!path_fits(path))
        return -1;
    if ((flags & AT_SYMLINK_NOFOLLOW) && is_symlink(dirfd, path, AT_SYMLINK_NOFOLLOW))
        return 0;
    return fchmodat(dirfd, path, mode, flags);
}

int darwin_fchmod(int fd, mode_t mode)
{
    return is_symlink(fd, "", AT_EMPTY_PATH) ? 0 : fchmod(fd, mode);
}

/* chmod(2) of what is described by found, which is a regular file. */
static int set_mode(int dirfd, const char *path, int flags, mode_t mode)
{
    struct proc_path proc = proc_path_at(dirfd, path, flags);
    return chmod(proc.text, mode & 07777);
}

/* Linux leaves a set-group-id bit without permission to execute alone. */
int darwin_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags)
{
    struct stat found;
    if (!path_fits(path) || fstatat(dirfd, path, &found, flags) != 0 ||
        fchownat(dirfd, path, uid, gid, flags) != 0)
        return -1;
    if (!S_ISREG(found.st_mode) || !(found.st_mode & set_id))
        return 0;
    mode_t mode = found.st_mode & ~(darwin_has_loss(LOSS_CHOWN_SET_ID) ? set_id : (mode_t) 0);
    return set_mode(dirfd, path, flags, mode);
}

int darwin_fchown(int fd, uid_t uid, gid_t gid)
{
    return darwin_fchownat(fd, "", uid, gid, AT_EMPTY_PATH);
}

int darwin_utimensat(int dirfd, const char *path, const struct timespec times[2], int flags)
{
    return path_fits(path) ? utimensat(dirfd, path, times, flags) : -1;
}

int darwin_futimens(int fd, const struct timespec times[2])
{
    return utimensat(fd, "", times, AT_EMPTY_PATH);
}
