/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/utf8.h"
#include "tests/darwin/internal.h"

enum { DARWIN_PATH_MAX = 1024 };

struct proc_path proc_path(int fd)
{
    struct proc_path path = {.follows = true};
    (void) snprintf(path.text, sizeof path.text, "/proc/self/fd/%d", fd);
    return path;
}

struct proc_path proc_path_at(int dirfd, const char *name, int flags)
{
    struct proc_path path = {.follows = !(flags & AT_SYMLINK_NOFOLLOW)};
    if (name[0] == '\0')
        return proc_path(dirfd);
    if (dirfd == AT_FDCWD || name[0] == '/')
        (void) snprintf(path.text, sizeof path.text, "%s", name);
    else
        (void) snprintf(path.text, sizeof path.text, "/proc/self/fd/%d/%s", dirfd, name);
    return path;
}

ssize_t proc_list(const struct proc_path *path, char *names, size_t size)
{
    return path->follows ? listxattr(path->text, names, size) : llistxattr(path->text, names, size);
}

ssize_t proc_get(const struct proc_path *path, const char *name, void *value, size_t size)
{
    return path->follows ? getxattr(path->text, name, value, size)
                         : lgetxattr(path->text, name, value, size);
}

int proc_set(const struct proc_path *path, const char *name, const void *value, size_t size,
             int flags)
{
    return path->follows ? setxattr(path->text, name, value, size, flags)
                         : lsetxattr(path->text, name, value, size, flags);
}

int proc_remove(const struct proc_path *path, const char *name)
{
    return path->follows ? removexattr(path->text, name) : lremovexattr(path->text, name);
}

bool path_fits(const char *path)
{
    if (strlen(path) < DARWIN_PATH_MAX || !darwin_has_loss(LOSS_LENGTHS))
        return true;
    errno = ENAMETOOLONG;
    return false;
}

bool text_is_utf8(const char *text)
{
    return utf8_valid(text, strlen(text));
}

bool path_can_be_made(const char *path)
{
    if (!path_fits(path))
        return false;
    if (text_is_utf8(path) || !darwin_has_loss(LOSS_NAMES))
        return true;
    errno = EILSEQ;
    return false;
}

static int read_directory_of(int dirfd, const char *path, struct stat *out)
{
    char dir[PATH_MAX];
    const char *slash = strrchr(path, '/');
    if (!slash)
        return fstatat(dirfd, dirfd == AT_FDCWD ? "." : "", out, AT_EMPTY_PATH);
    (void) snprintf(dir, sizeof dir, "%.*s", (int) (slash - path + 1), path);
    return fstatat(dirfd, dir, out, 0);
}

void take_group_of_directory(int dirfd, const char *path)
{
    int saved = errno;
    struct stat dir;
    struct stat made;
    if (darwin_has_loss(LOSS_BSD_GROUP) && read_directory_of(dirfd, path, &dir) == 0 &&
        fstatat(dirfd, path, &made, AT_SYMLINK_NOFOLLOW) == 0 && made.st_gid != dir.st_gid)
        (void) fchownat(dirfd, path, (uid_t) -1, dir.st_gid, AT_SYMLINK_NOFOLLOW);
    if (darwin_has_loss(LOSS_ACL_INHERITED) && dirfd != AT_FDCWD && !strchr(path, '/'))
        acl_inherit(dirfd, path);
    errno = saved;
}
