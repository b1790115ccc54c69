/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/darwin/internal.h"

/* include/darwin.h */
int renamex_np(const char *old_path, const char *path, unsigned flags);
int renameatx_np(int old_dirfd, const char *old_path, int dirfd, const char *path, unsigned flags);

enum { LINKS_MAX = 32767, SWAP = 2, EXCLUSIVE = 4 };

static int with_group(int result, int dirfd, const char *path)
{
    if (result == 0)
        take_group_of_directory(dirfd, path);
    return result;
}

int darwin_mkdirat(int dirfd, const char *path, mode_t mode)
{
    return path_can_be_made(path) ? with_group(mkdirat(dirfd, path, mode), dirfd, path) : -1;
}

int darwin_mkdir(const char *path, mode_t mode)
{
    return darwin_mkdirat(AT_FDCWD, path, mode);
}

int darwin_symlinkat(const char *target, int dirfd, const char *path)
{
    return path_fits(target) && path_can_be_made(path)
               ? with_group(symlinkat(target, dirfd, path), dirfd, path)
               : -1;
}

int darwin_mkfifoat(int dirfd, const char *path, mode_t mode)
{
    return path_can_be_made(path) ? with_group(mkfifoat(dirfd, path, mode), dirfd, path) : -1;
}

int darwin_mknodat(int dirfd, const char *path, mode_t mode, dev_t device)
{
    if (S_ISFIFO(mode))
        return darwin_mkfifoat(dirfd, path, mode & ~(mode_t) S_IFMT);
    if (!S_ISCHR(mode) && !S_ISBLK(mode)) {
        errno = EINVAL;
        return -1;
    }
    return path_can_be_made(path) ? with_group(mknodat(dirfd, path, mode, device), dirfd, path)
                                  : -1;
}

int darwin_linkat(int old_dirfd, const char *old_path, int dirfd, const char *path, int flags)
{
    struct stat found;
    if (!path_fits(old_path) || !path_can_be_made(path))
        return -1;
    if (fstatat(old_dirfd, old_path, &found, AT_SYMLINK_NOFOLLOW) == 0 && !S_ISDIR(found.st_mode) &&
        found.st_nlink >= LINKS_MAX) {
        errno = EMLINK;
        return -1;
    }
    return linkat(old_dirfd, old_path, dirfd, path, flags);
}

/* The same name in other bytes is no new name. */
int renameatx_np(int old_dirfd, const char *old_path, int dirfd, const char *path, unsigned flags)
{
    if (flags & ~(unsigned) (SWAP | EXCLUSIVE) || flags == (SWAP | EXCLUSIVE)) {
        errno = EINVAL;
        return -1;
    }
    if (!path_fits(old_path) || !path_can_be_made(path) ||
        flags_forbid_removal(old_dirfd, old_path) || flags_forbid_removal(dirfd, path))
        return -1;
    int result = renameat2(old_dirfd, old_path, dirfd, path,
                           (flags & SWAP ? RENAME_EXCHANGE : 0U) |
                               (flags & EXCLUSIVE ? RENAME_NOREPLACE : 0U));
    if (result != 0 && flags != 0 && errno == EINVAL)
        errno = DARWIN_ENOTSUP;
    return result;
}

int renamex_np(const char *old_path, const char *path, unsigned flags)
{
    return renameatx_np(AT_FDCWD, old_path, AT_FDCWD, path, flags);
}

int darwin_renameat(int old_dirfd, const char *old_path, int dirfd, const char *path)
{
    return renameatx_np(old_dirfd, old_path, dirfd, path, 0);
}

int darwin_rename(const char *old_path, const char *path)
{
    return darwin_renameat(AT_FDCWD, old_path, AT_FDCWD, path);
}

int darwin_unlinkat(int dirfd, const char *path, int flags)
{
    return path_fits(path) && !flags_forbid_removal(dirfd, path) ? unlinkat(dirfd, path, flags)
                                                                 : -1;
}

int darwin_unlink(const char *path)
{
    return darwin_unlinkat(AT_FDCWD, path, 0);
}

int darwin_faccessat(int dirfd, const char *path, int mode, int flags)
{
    return path_fits(path) ? faccessat(dirfd, path, mode, flags) : -1;
}
