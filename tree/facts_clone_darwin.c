/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>
#include <sys/clonefile.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/acl_darwin.h"
#include "tree/facts_darwin.h"
#include "tree/facts_os.h"
#include "tree/xattr_darwin.h"

/* What a clone of a single file keeps. */

static bool keeps_mode(int dirfd, mode_t mode)
{
    struct stat found;
    return fact_touch(dirfd, "from") && fchmodat(dirfd, "from", mode, 0) == 0 &&
           fact_clone(dirfd, 0) && fact_look(dirfd, "to", &found) &&
           fact_plainly((found.st_mode & 07777) == mode);
}

static bool keeps_setuid(int dirfd)
{
    return keeps_mode(dirfd, 04755);
}

static bool keeps_setgid(int dirfd)
{
    return keeps_mode(dirfd, 02755);
}

static bool keeps_sticky(int dirfd)
{
    return keeps_mode(dirfd, 01644);
}

static bool keeps_owner(int dirfd)
{
    struct stat found;
    owned(fd_close) int fd = fact_make_file(dirfd, "from");
    return fd >= 0 && fchown(fd, FACT_OWNER, FACT_GROUP) == 0 && fact_clone(dirfd, 0) &&
           fact_look(dirfd, "to", &found) &&
           fact_plainly(found.st_uid == FACT_OWNER && found.st_gid == FACT_GROUP);
}

static bool keeps_mtime(int dirfd)
{
    struct stat found;
    return fact_touch(dirfd, "from") && fact_make_old(dirfd, "from") && fact_clone(dirfd, 0) &&
           fact_look(dirfd, "to", &found) && fact_is_old(&found.st_mtim);
}

static bool keeps_atime(int dirfd)
{
    struct stat found;
    return fact_touch(dirfd, "from") && fact_make_old(dirfd, "from") && fact_clone(dirfd, 0) &&
           fact_look(dirfd, "to", &found) && fact_is_old(&found.st_atim);
}

/* A clone that is made some time after its origin. */
static bool clone_later(int dirfd, struct stat out_stats[2])
{
    if (!fact_touch(dirfd, "from"))
        return false;
    (void) usleep(30000);
    return fact_clone(dirfd, 0) && fact_look_at_both(dirfd, "from", "to", out_stats);
}

static bool keeps_birth_time(int dirfd)
{
    struct stat found[2];
    return clone_later(dirfd, found) &&
           fact_same_time(&found[0].st_birthtimespec, &found[1].st_birthtimespec);
}

static bool keeps_change_time(int dirfd)
{
    struct stat found[2];
    return clone_later(dirfd, found) && fact_same_time(&found[0].st_ctim, &found[1].st_ctim);
}

/* If not, a snapshot seems to have changed when its child is made. */
static bool leaves_origin_alone(int dirfd)
{
    struct stat before;
    struct stat after;
    if (!fact_touch(dirfd, "from") || !fact_look(dirfd, "from", &before))
        return false;
    (void) usleep(30000);
    return fact_clone(dirfd, 0) && fact_look(dirfd, "from", &after) &&
           fact_same_time(&before.st_ctim, &after.st_ctim);
}

static bool keeps_flag(int dirfd, uint32_t flag)
{
    struct stat found;
    owned(fd_close) int fd = fact_make_file(dirfd, "from");
    return fd >= 0 && fchflags(fd, flag) == 0 && fact_clone(dirfd, 0) &&
           fact_look(dirfd, "to", &found) && fact_plainly((found.st_flags & flag) != 0);
}

static bool keeps_immutable(int dirfd)
{
    return keeps_flag(dirfd, UF_IMMUTABLE);
}

static bool keeps_append(int dirfd)
{
    return keeps_flag(dirfd, UF_APPEND);
}

static bool keeps_hidden(int dirfd)
{
    return keeps_flag(dirfd, UF_HIDDEN);
}

static bool keeps_xattr(int dirfd, const char *name)
{
    char value[8] = "";
    owned(fd_close) int fd = fact_make_file(dirfd, "from");
    if (fd < 0 || !facts_set_xattr(fd, name, "value", 5) || !fact_clone(dirfd, 0))
        return false;
    owned(fd_close) int clone_fd = openat(dirfd, "to", O_RDONLY | O_CLOEXEC);
    return clone_fd >= 0 && fgetxattr(clone_fd, name, value, sizeof value, 0, 0) == 5 &&
           fact_plainly(memcmp(value, "value", 5) == 0);
}

static bool keeps_xattrs(int dirfd)
{
    return keeps_xattr(dirfd, "user.clonefs");
}

static bool keeps_resource_fork(int dirfd)
{
    return keeps_xattr(dirfd, XATTR_RESOURCEFORK_NAME);
}

static bool keeps_acl_with(int dirfd, uint32_t flags)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "from");
    if (fd < 0 || !facts_set_acl(fd) || !fact_clone(dirfd, flags))
        return false;
    owned(fd_close) int clone_fd = openat(dirfd, "to", O_RDONLY | O_CLOEXEC);
    return clone_fd >= 0 && fact_plainly(acl_text_exists(clone_fd));
}

static bool keeps_acl(int dirfd)
{
    return keeps_acl_with(dirfd, 0);
}

static bool keeps_acl_if_asked(int dirfd)
{
    return keeps_acl_with(dirfd, CLONE_ACL);
}

static bool keeps_holes(int dirfd)
{
    enum { END = 1 << 20 };
    owned(fd_close) int fd = fact_make_file(dirfd, "from");
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, "x", 1, END) != 1 || fsync(fd) != 0 ||
        !fact_clone(dirfd, 0))
        return false;
    owned(fd_close) int clone_fd = openat(dirfd, "to", O_RDONLY | O_CLOEXEC);
    off_t data = clone_fd < 0 ? -1 : lseek(clone_fd, 0, SEEK_DATA);
    return data >= 0 && fact_plainly(data > 0);
}

static bool clones_empty_files(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "from");
    return fd >= 0 && ftruncate(fd, 0) == 0 && fact_clone(dirfd, 0);
}

static bool clones_symlinks(int dirfd)
{
    struct stat found;
    return symlinkat("nowhere", dirfd, "from") == 0 && fact_clone(dirfd, 0) &&
           fact_look(dirfd, "to", &found) && fact_plainly(S_ISLNK(found.st_mode));
}

static bool clones_fifos(int dirfd)
{
    return mkfifoat(dirfd, "from", 0600) == 0 && fact_clone(dirfd, 0);
}

static bool clones_sockets(int dirfd)
{
    return fact_make_socket(dirfd, "from") && fact_clone(dirfd, 0);
}

static bool clones_devices(int dirfd)
{
    return mknodat(dirfd, "from", S_IFCHR | 0600, makedev(3, 2)) == 0 && fact_clone(dirfd, 0);
}

static bool replaces(int dirfd)
{
    return fact_touch(dirfd, "from") && fact_touch(dirfd, "to") && fact_clone(dirfd, 0);
}

static const struct fact facts[] = {
    {"a clone keeps setuid", keeps_setuid},
    {"a clone keeps setgid", keeps_setgid},
    {"a clone keeps the sticky bit", keeps_sticky},
    {"a clone keeps the owner", keeps_owner},
    {"a clone keeps the modification time", keeps_mtime},
    {"a clone keeps the access time", keeps_atime},
    {"a clone keeps the birth time", keeps_birth_time},
    {"a clone keeps the change time", keeps_change_time},
    {"cloning leaves the origin's change time", leaves_origin_alone},
    {"a clone keeps an immutable flag", keeps_immutable},
    {"a clone keeps an append-only flag", keeps_append},
    {"a clone keeps a hidden flag", keeps_hidden},
    {"a clone keeps extended attributes", keeps_xattrs},
    {"a clone keeps a resource fork", keeps_resource_fork},
    {"a clone keeps the ACL", keeps_acl},
    {"a clone keeps the ACL if asked", keeps_acl_if_asked},
    {"a clone keeps holes", keeps_holes},
    {"empty files are cloned", clones_empty_files},
    {"symlinks are cloned", clones_symlinks},
    {"FIFOs are cloned", clones_fifos},
    {"sockets are cloned", clones_sockets},
    {"devices are cloned", clones_devices},
    {"a clone replaces a file that has its name", replaces},
};

const struct fact_list facts_of_file_clones = FACT_LIST(facts);
