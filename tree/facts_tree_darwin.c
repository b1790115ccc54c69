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

/* What one clone of a whole directory keeps. */

static bool make_tree(int dirfd)
{
    return mkdirat(dirfd, "from", 0700) == 0;
}

static bool make_tree_with_file(int dirfd)
{
    return make_tree(dirfd) && fact_touch(dirfd, "from/file");
}

static bool clones_trees(int dirfd)
{
    return make_tree_with_file(dirfd) && mkdirat(dirfd, "from/below", 0700) == 0 &&
           fact_touch(dirfd, "from/below/file") && fact_clone(dirfd, 0) &&
           fact_plainly(fact_exists(dirfd, "to/below/file"));
}

static bool keeps_hard_links(int dirfd)
{
    struct stat found[2];
    return make_tree_with_file(dirfd) && linkat(dirfd, "from/file", dirfd, "from/other", 0) == 0 &&
           fact_clone(dirfd, 0) && fact_look_at_both(dirfd, "to/file", "to/other", found) &&
           fact_plainly(found[0].st_ino == found[1].st_ino);
}

static bool keeps_set_id(int dirfd)
{
    struct stat found;
    return make_tree_with_file(dirfd) && fchmodat(dirfd, "from/file", 06755, 0) == 0 &&
           fact_clone(dirfd, 0) && fact_look(dirfd, "to/file", &found) &&
           fact_plainly((found.st_mode & 07777) == 06755);
}

static bool keeps_directory_modes(int dirfd)
{
    struct stat found;
    return make_tree(dirfd) && mkdirat(dirfd, "from/below", 0700) == 0 &&
           fchmodat(dirfd, "from/below", 03711, 0) == 0 && fact_clone(dirfd, 0) &&
           fact_look(dirfd, "to/below", &found) && fact_plainly((found.st_mode & 07777) == 03711);
}

static bool keeps_owners(int dirfd)
{
    struct stat found[2];
    return make_tree_with_file(dirfd) && mkdirat(dirfd, "from/below", 0700) == 0 &&
           fchownat(dirfd, "from/file", FACT_OWNER, FACT_GROUP, 0) == 0 &&
           fchownat(dirfd, "from/below", FACT_OWNER, FACT_GROUP, 0) == 0 && fact_clone(dirfd, 0) &&
           fact_look_at_both(dirfd, "to/file", "to/below", found) &&
           fact_plainly(found[0].st_uid == FACT_OWNER && found[0].st_gid == FACT_GROUP &&
                        found[1].st_uid == FACT_OWNER && found[1].st_gid == FACT_GROUP);
}

/* Whether "name" below the root still has its old time when the tree is cloned. */
static bool keeps_time_of(int dirfd, const char *from, const char *to)
{
    struct stat found;
    return fact_make_old(dirfd, from) && fact_clone(dirfd, 0) && fact_look(dirfd, to, &found) &&
           fact_is_old(&found.st_mtim);
}

static bool keeps_file_times(int dirfd)
{
    return make_tree_with_file(dirfd) && keeps_time_of(dirfd, "from/file", "to/file");
}

static bool keeps_empty_directory_times(int dirfd)
{
    return make_tree(dirfd) && mkdirat(dirfd, "from/below", 0700) == 0 &&
           keeps_time_of(dirfd, "from/below", "to/below");
}

static bool keeps_directory_times(int dirfd)
{
    return make_tree(dirfd) && mkdirat(dirfd, "from/below", 0700) == 0 &&
           fact_touch(dirfd, "from/below/file") && keeps_time_of(dirfd, "from/below", "to/below");
}

static bool keeps_root_time(int dirfd)
{
    return make_tree_with_file(dirfd) && keeps_time_of(dirfd, "from", "to");
}

static bool keeps_birth_times(int dirfd)
{
    struct stat found[2];
    if (!make_tree_with_file(dirfd))
        return false;
    (void) usleep(30000);
    return fact_clone(dirfd, 0) && fact_look_at_both(dirfd, "from/file", "to/file", found) &&
           fact_same_time(&found[0].st_birthtimespec, &found[1].st_birthtimespec);
}

static bool keeps_immutable(int dirfd)
{
    struct stat found;
    if (!make_tree(dirfd))
        return false;
    owned(fd_close) int fd = fact_make_file(dirfd, "from/file");
    return fd >= 0 && fchflags(fd, UF_IMMUTABLE) == 0 && fact_clone(dirfd, 0) &&
           fact_look(dirfd, "to/file", &found) && fact_plainly(found.st_flags & UF_IMMUTABLE);
}

static bool has_acl(int dirfd, const char *path)
{
    owned(fd_close) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && fact_plainly(acl_text_exists(fd));
}

static bool set_acl(int dirfd, const char *path)
{
    owned(fd_close) int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    return fd >= 0 && facts_set_acl(fd);
}

static bool keeps_acls(int dirfd)
{
    return make_tree_with_file(dirfd) && set_acl(dirfd, "from/file") && fact_clone(dirfd, 0) &&
           has_acl(dirfd, "to/file");
}

static bool keeps_acls_if_asked(int dirfd)
{
    return make_tree_with_file(dirfd) && set_acl(dirfd, "from/file") &&
           fact_clone(dirfd, CLONE_ACL) && has_acl(dirfd, "to/file");
}

static bool keeps_root_acl_if_asked(int dirfd)
{
    return make_tree_with_file(dirfd) && set_acl(dirfd, "from") && fact_clone(dirfd, CLONE_ACL) &&
           has_acl(dirfd, "to");
}

static bool keeps_directory_xattrs(int dirfd)
{
    if (!make_tree(dirfd) || mkdirat(dirfd, "from/below", 0700) != 0)
        return false;
    owned(fd_close) int fd = openat(dirfd, "from/below", O_RDONLY | O_CLOEXEC);
    if (fd < 0 || !facts_set_xattr(fd, "user.clonefs", "value", 5) || !fact_clone(dirfd, 0))
        return false;
    owned(fd_close) int clone_fd = openat(dirfd, "to/below", O_RDONLY | O_CLOEXEC);
    return clone_fd >= 0 && fgetxattr(clone_fd, "user.clonefs", NULL, 0, 0, 0) == 5;
}

/* A no with a reason: nothing is cloned. A plain no: all but this. */
static bool keeps_kind(int dirfd, mode_t kind)
{
    struct stat found;
    if (!fact_clone(dirfd, 0))
        return false;
    return fact_plainly(fact_look(dirfd, "to/special", &found) && (found.st_mode & S_IFMT) == kind);
}

static bool keeps_symlinks(int dirfd)
{
    return make_tree(dirfd) && symlinkat("nowhere", dirfd, "from/special") == 0 &&
           keeps_kind(dirfd, S_IFLNK);
}

static bool keeps_fifos(int dirfd)
{
    return make_tree(dirfd) && mkfifoat(dirfd, "from/special", 0600) == 0 &&
           keeps_kind(dirfd, S_IFIFO);
}

static bool keeps_sockets(int dirfd)
{
    return make_tree(dirfd) && fact_make_socket(dirfd, "from/special") &&
           keeps_kind(dirfd, S_IFSOCK);
}

static bool keeps_devices(int dirfd)
{
    return make_tree(dirfd) && mknodat(dirfd, "from/special", S_IFCHR | 0600, makedev(3, 2)) == 0 &&
           keeps_kind(dirfd, S_IFCHR);
}

static const struct fact facts[] = {
    {"a directory is cloned with what is below", clones_trees},
    {"a directory clone keeps hard links", keeps_hard_links},
    {"a directory clone keeps set-id bits of files", keeps_set_id},
    {"a directory clone keeps modes of directories", keeps_directory_modes},
    {"a directory clone keeps owners", keeps_owners},
    {"a directory clone keeps times of files", keeps_file_times},
    {"a directory clone keeps times of empty directories", keeps_empty_directory_times},
    {"a directory clone keeps times of other directories", keeps_directory_times},
    {"a directory clone keeps the time of its root", keeps_root_time},
    {"a directory clone keeps birth times of files", keeps_birth_times},
    {"a directory clone keeps immutable flags", keeps_immutable},
    {"a directory clone keeps ACLs below its root", keeps_acls},
    {"a directory clone keeps ACLs below its root if asked", keeps_acls_if_asked},
    {"a directory clone keeps the ACL of its root if asked", keeps_root_acl_if_asked},
    {"a directory clone keeps extended attributes of directories", keeps_directory_xattrs},
    {"a directory clone keeps symlinks", keeps_symlinks},
    {"a directory clone keeps FIFOs", keeps_fifos},
    {"a directory clone keeps sockets", keeps_sockets},
    {"a directory clone keeps devices", keeps_devices},
};

const struct fact_list facts_of_tree_clones = FACT_LIST(facts);
