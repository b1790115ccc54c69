/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "tests/darwin/include/sys/clonefile.h"
#include "tests/darwin/internal.h"

static atomic_uint directories_cloned;

/* include/darwin.h */
int fchflags(int fd, unsigned flags);

/* The first name of a file that has several, in the clone. */
struct linked {
    ino_t inode;
    char *path; /* from the root of the clone */
};

struct tree {
    int root_fd; /* of the clone */
    uint32_t flags;
    uint64_t mount;
    struct linked *linked;
    size_t linked_count;
};

static int clone_entries(struct tree *tree, int source_fd, int fd, const char *path,
                         size_t *out_count);

static bool is_special(mode_t mode)
{
    return S_ISFIFO(mode) || S_ISSOCK(mode) || S_ISCHR(mode) || S_ISBLK(mode);
}

static const struct linked *find_linked(const struct tree *tree, ino_t inode)
{
    for (size_t i = 0; i < tree->linked_count; i++)
        if (tree->linked[i].inode == inode)
            return &tree->linked[i];
    return NULL;
}

static int note_linked(struct tree *tree, ino_t inode, const char *dir, const char *name)
{
    struct linked *grown = realloc(tree->linked, (tree->linked_count + 1) * sizeof *tree->linked);
    if (!grown)
        return -1;
    tree->linked = grown;
    struct linked *linked = &grown[tree->linked_count];
    linked->inode = inode;
    if (asprintf(&linked->path, "%s%s", dir, name) < 0)
        return -1;
    tree->linked_count++;
    return 0;
}

/* The first one may be immutable already. */
static int link_to(const struct tree *tree, const char *first, int dirfd, const char *name,
                   uint32_t flags)
{
    int fd = flags ? open_reading(tree->root_fd, first) : -1;
    if (fd >= 0)
        (void) fchflags(fd, 0);
    int result = linkat(tree->root_fd, first, dirfd, name, 0);
    if (fd >= 0) {
        (void) fchflags(fd, flags);
        (void) close(fd);
    }
    return result;
}

/* Only with LOSS_TREE_LINKS switched off. */
static int clone_linked(struct tree *tree, int source_fd, const struct inode *source, int dirfd,
                        const char *dir, const char *name)
{
    const struct linked *first = find_linked(tree, source->stat.st_ino);
    if (first)
        return link_to(tree, first->path, dirfd, name, source->stat.st_flags);
    return clone_one(source_fd, source, dirfd, name, true, tree->flags) == 0
               ? note_linked(tree, source->stat.st_ino, dir, name)
               : -1;
}

static int finish_dir(int source_fd, const struct inode *source, int fd, bool with_acl,
                      size_t count, uint32_t flags)
{
    bool touched = count > 0 && darwin_has_loss(LOSS_TREE_TIMES);
    return clone_attributes(source_fd, source, fd, with_acl, false,
                            touched ? CLONE_HAS_NEW_TIMES : CLONE_KEEPS_TIMES, flags);
}

static int clone_below(struct tree *tree, int source_fd, const struct inode *source, int dirfd,
                       const char *dir, const char *name)
{
    char *path = NULL;
    size_t count = 0;
    if (mkdirat(dirfd, name, 0700) != 0)
        return -1;
    take_group_of_directory(dirfd, name);
    int fd = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return -1;
    int result = asprintf(&path, "%s%s/", dir, name) < 0 ? -1 : 0;
    if (result == 0)
        result = clone_entries(tree, source_fd, fd, path, &count);
    if (result == 0)
        result =
            finish_dir(source_fd, source, fd, !darwin_has_loss(LOSS_TREE_ACLS), count, tree->flags);
    int saved = errno;
    free(path);
    (void) close(fd);
    errno = saved;
    return result;
}

static int open_entry(int dirfd, const char *name, mode_t mode)
{
    return S_ISREG(mode) || S_ISDIR(mode) ? open_reading(dirfd, name)
                                          : openat(dirfd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

static int clone_opened(struct tree *tree, int source_fd, const struct inode *source, int dirfd,
                        const char *dir, const char *name)
{
    if (S_ISDIR(source->stat.st_mode))
        return clone_below(tree, source_fd, source, dirfd, dir, name);
    if (source->stat.st_nlink > 1 && !darwin_has_loss(LOSS_TREE_LINKS))
        return clone_linked(tree, source_fd, source, dirfd, dir, name);
    return clone_one(source_fd, source, dirfd, name, true, tree->flags);
}

/* 1: cloned; 0: left out */
static int clone_entry(struct tree *tree, int source_dirfd, int dirfd, const char *dir,
                       const char *name)
{
    struct inode source;
    if (inode_read(source_dirfd, name, AT_SYMLINK_NOFOLLOW, &source) != 0)
        return -1;
    bool special = is_special(source.stat.st_mode);
    if ((special && darwin_has_loss(LOSS_TREE_SPECIAL)) || source.mount != tree->mount) {
        errno = EINVAL;
        return -1;
    }
    if (special && darwin_has_loss(LOSS_TREE_SPECIAL_DROPPED))
        return 0;
    int fd = open_entry(source_dirfd, name, source.stat.st_mode);
    if (fd < 0)
        return -1;
    int result = clone_opened(tree, fd, &source, dirfd, dir, name);
    int saved = errno;
    (void) close(fd);
    errno = saved;
    return result == 0 ? 1 : -1;
}

static bool is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static int clone_entries(struct tree *tree, int source_fd, int fd, const char *path,
                         size_t *out_count)
{
    int own_fd = open_reading(source_fd, ".");
    DIR *dir = own_fd >= 0 ? fdopendir(own_fd) : NULL;
    if (!dir)
        return -1;
    int result = 0;
    errno = 0;
    for (struct dirent *entry; result >= 0 && (entry = readdir(dir)); errno = 0) {
        if (is_dots(entry->d_name))
            continue;
        result = clone_entry(tree, source_fd, fd, path, entry->d_name);
        *out_count += result > 0;
        if (result < 0)
            break;
    }
    int saved = errno;
    (void) closedir(dir);
    errno = saved;
    return saved == 0 ? 0 : -1;
}

static void clear_flags(int dirfd, const char *name)
{
    int none = 0;
    int fd = open_reading(dirfd, name);
    if (fd >= 0) {
        (void) ioctl(fd, FS_IOC_SETFLAGS, &none);
        (void) close(fd);
    }
}

/* Removes what was made of a clone that failed. */
static void remove_all(int dirfd, const char *name)
{
    struct stat found;
    if (fstatat(dirfd, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    if (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))
        clear_flags(dirfd, name);
    if (!S_ISDIR(found.st_mode)) {
        (void) unlinkat(dirfd, name, 0);
        return;
    }
    int fd = open_reading(dirfd, name);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (!is_dots(entry->d_name))
            remove_all(fd, entry->d_name);
    if (dir)
        (void) closedir(dir);
    (void) unlinkat(dirfd, name, AT_REMOVEDIR);
}

static void free_linked(struct tree *tree)
{
    for (size_t i = 0; i < tree->linked_count; i++)
        free(tree->linked[i].path);
    free(tree->linked);
}

static int fill(int source_fd, const struct inode *source, int fd, uint32_t flags)
{
    struct tree tree = {.root_fd = fd, .flags = flags, .mount = source->mount};
    size_t count = 0;
    bool with_acl = (flags & CLONE_ACL) || !darwin_has_loss(LOSS_CLONE_ACL);
    int result = clone_entries(&tree, source_fd, fd, "", &count);
    if (result == 0)
        result = finish_dir(source_fd, source, fd, with_acl, count, flags);
    int saved = errno;
    free_linked(&tree);
    errno = saved;
    return result;
}

int clone_dir(int source_fd, const struct inode *source, int dirfd, const char *path,
              uint32_t flags)
{
    if (darwin_has_loss(LOSS_TREE)) {
        errno = DARWIN_ENOTSUP;
        return -1;
    }
    if (source->mount_root) {
        errno = EINVAL;
        return -1;
    }
    if (mkdirat(dirfd, path, 0700) != 0)
        return -1;
    take_group_of_directory(dirfd, path);
    int fd = openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    int result = fd < 0 ? -1 : fill(source_fd, source, fd, flags);
    int saved = errno;
    if (fd >= 0)
        (void) close(fd);
    if (result != 0)
        remove_all(dirfd, path);
    else
        atomic_fetch_add(&directories_cloned, 1);
    errno = saved;
    return result;
}

unsigned darwin_directories_cloned(void)
{
    return atomic_load(&directories_cloned);
}
