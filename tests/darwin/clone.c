/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "tests/darwin/include/sys/clonefile.h"
#include "tests/darwin/internal.h"

/* include/darwin.h */
int fchflags(int fd, unsigned flags);

static const mode_t set_id = S_ISUID | S_ISGID;
static const uint32_t not_cloned = UF_DATAVAULT | SF_RESTRICTED;

static bool owner_is_copied(uint32_t flags)
{
    return geteuid() == 0 && !(flags & CLONE_NOOWNERCOPY);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
    return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* Only a birth time that would not look right by itself needs a note. */
static int copy_birth(const struct timespec *birth, int fd)
{
    struct inode made;
    if (inode_read(fd, "", AT_EMPTY_PATH, &made) != 0)
        return -1;
    return same_time(birth, &made.stat.st_birthtimespec) ? 0 : birth_set(fd, birth);
}

int clone_attributes(int source_fd, const struct inode *source, int fd, bool with_acl,
                     bool without_set_id, enum clone_times times, uint32_t flags)
{
    const struct darwin_stat *stat = &source->stat;
    mode_t mode = stat->st_mode & 07777;
    if (without_set_id && S_ISREG(stat->st_mode))
        mode &= ~set_id;
    if (owner_is_copied(flags) && fchownat(fd, "", stat->st_uid, stat->st_gid, AT_EMPTY_PATH) != 0)
        return -1;
    if (xattrs_copy(source_fd, fd) != 0 || (with_acl && acl_copy(source_fd, fd) != 0))
        return -1;
    struct proc_path path = proc_path(fd);
    if (!S_ISLNK(stat->st_mode) && chmod(path.text, mode) != 0)
        return -1;
    if (times == CLONE_KEEPS_TIMES &&
        utimensat(fd, "", (struct timespec[]){stat->st_atimespec, stat->st_mtimespec},
                  AT_EMPTY_PATH) != 0)
        return -1;
    if (copy_birth(&stat->st_birthtimespec, fd) != 0)
        return -1;
    uint32_t carried = stat->st_flags & ~not_cloned;
    return carried != 0 && darwin_has_loss(LOSS_CLONE_FLAGS) ? fchflags(fd, carried) : 0;
}

static int share_data(int source_fd, int fd)
{
    if (ioctl(fd, FICLONE, source_fd) == 0)
        return 0;
    if (errno == EOPNOTSUPP || errno == ENOTTY || errno == EINVAL)
        errno = DARWIN_ENOTSUP;
    return -1;
}

static int make_data(int source_fd, int dirfd, const char *path)
{
    int fd = openat(dirfd, path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -1;
    if (share_data(source_fd, fd) == 0)
        return fd;
    int saved = errno;
    (void) close(fd);
    (void) unlinkat(dirfd, path, 0);
    errno = saved;
    return -1;
}

static int make_symlink(int source_fd, int dirfd, const char *path)
{
    char target[4096];
    ssize_t length = readlinkat(source_fd, "", target, sizeof target - 1);
    if (length < 0)
        return -1;
    target[length] = '\0';
    return symlinkat(target, dirfd, path) == 0
               ? openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
               : -1;
}

static int make_node(const struct inode *source, int dirfd, const char *path)
{
    return mknodat(dirfd, path, (source->stat.st_mode & S_IFMT) | 0600, source->stat.st_rdev) == 0
               ? openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC)
               : -1;
}

static int make_any(int source_fd, const struct inode *source, int dirfd, const char *path)
{
    mode_t type = source->stat.st_mode & S_IFMT;
    return type == S_IFREG   ? make_data(source_fd, dirfd, path)
           : type == S_IFLNK ? make_symlink(source_fd, dirfd, path)
                             : make_node(source, dirfd, path);
}

static int forget_birth(int fd)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    return birth_set(fd, &now);
}

int clone_one(int source_fd, const struct inode *source, int dirfd, const char *path, bool in_tree,
              uint32_t flags)
{
    int fd = make_any(source_fd, source, dirfd, path);
    if (fd < 0)
        return -1;
    take_group_of_directory(dirfd, path);
    bool with_acl = in_tree ? !darwin_has_loss(LOSS_TREE_ACLS)
                            : (flags & CLONE_ACL) || !darwin_has_loss(LOSS_CLONE_ACL);
    bool without_set_id = darwin_has_loss(in_tree ? LOSS_TREE_SET_ID : LOSS_CLONE_SET_ID);
    int result =
        clone_attributes(source_fd, source, fd, with_acl, without_set_id, CLONE_KEEPS_TIMES, flags);
    if (result == 0 && in_tree && darwin_has_loss(LOSS_TREE_BIRTHS))
        result = forget_birth(fd);
    int saved = errno;
    (void) close(fd);
    if (result != 0)
        (void) unlinkat(dirfd, path, 0);
    errno = saved;
    return result;
}

static bool volume_clones(int fd)
{
    struct darwin_statfs volume;
    return fd == AT_FDCWD ||
           (darwin_fstatfs(fd, &volume) == 0 && strcmp(volume.f_fstypename, "apfs") == 0);
}

/* What a clone must be: none of the others, on the same mount, and not mounted on. */
static int check(const struct inode *source, int dirfd, const char *path, uint32_t flags)
{
    struct inode dir;
    mode_t type = source->stat.st_mode & S_IFMT;
    if (flags & ~(uint32_t) (CLONE_NOFOLLOW | CLONE_NOOWNERCOPY | CLONE_ACL) ||
        (type != S_IFREG && type != S_IFLNK && type != S_IFDIR)) {
        errno = EINVAL;
        return -1;
    }
    if (!path_can_be_made(path) ||
        inode_read(dirfd, dirfd == AT_FDCWD ? "." : "", AT_EMPTY_PATH, &dir) != 0)
        return -1;
    if (!volume_clones(dirfd)) {
        errno = DARWIN_ENOTSUP;
        return -1;
    }
    if (path[0] != '/' && dir.mount != source->mount) {
        errno = EXDEV;
        return -1;
    }
    return 0;
}

static int clone_any(int source_fd, int dirfd, const char *path, uint32_t flags)
{
    struct inode source;
    if (inode_read(source_fd, "", AT_EMPTY_PATH, &source) != 0 ||
        check(&source, dirfd, path, flags) != 0)
        return -1;
    return S_ISDIR(source.stat.st_mode) ? clone_dir(source_fd, &source, dirfd, path, flags)
                                        : clone_one(source_fd, &source, dirfd, path, false, flags);
}

/* The descriptor has to be open for reading; of a symlink, as O_SYMLINK gives it. */
int fclonefileat(int source_fd, int dirfd, const char *path, uint32_t flags)
{
    int mode = fcntl(source_fd, F_GETFL);
    if (mode < 0 || (mode & O_ACCMODE) == O_WRONLY) {
        errno = EBADF;
        return -1;
    }
    return clone_any(source_fd, dirfd, path, flags);
}

static int open_source(int dirfd, const char *path, uint32_t flags)
{
    struct stat found;
    int follow = flags & CLONE_NOFOLLOW ? AT_SYMLINK_NOFOLLOW : 0;
    if (!path_fits(path) || fstatat(dirfd, path, &found, follow) != 0)
        return -1;
    if (S_ISREG(found.st_mode) || S_ISDIR(found.st_mode))
        return openat(dirfd, path, O_RDONLY | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    return openat(dirfd, path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
}

int clonefileat(int source_dirfd, const char *source, int dirfd, const char *path, uint32_t flags)
{
    int fd = open_source(source_dirfd, source, flags);
    if (fd < 0)
        return -1;
    int result = clone_any(fd, dirfd, path, flags);
    int saved = errno;
    (void) close(fd);
    errno = saved;
    return result;
}

int clonefile(const char *source, const char *path, uint32_t flags)
{
    return clonefileat(AT_FDCWD, source, AT_FDCWD, path, flags);
}
