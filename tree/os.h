/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/*
 * The system calls of the tree walkers that differ between systems: os_linux.c, os_darwin.c.
 * Opening never follows a link and never crosses a mount point: a mount point answers -1 and EXDEV.
 * All return -1 and errno on failure unless said otherwise, and take no lock.
 */

/* Attributes of a file or directory that a clone carries over and a removal has to clear. */
enum {
    OS_FLAG_IMMUTABLE = 1,
    OS_FLAG_APPEND = 2,
    OS_FLAG_NODUMP = 4,
    OS_FLAG_OPAQUE = 8, /* from here on of macOS alone */
    OS_FLAG_HIDDEN = 16,
    OS_FLAG_ARCHIVED = 32,
    OS_FLAG_SYSTEM_IMMUTABLE = 64, /* as those above, but only root sets and clears them */
    OS_FLAG_SYSTEM_APPEND = 128,
    OS_FLAG_SYSTEM_NOUNLINK = 256
};

/* Those that may forbid a change or a removal. */
enum {
    OS_FLAGS_LOCKING = OS_FLAG_IMMUTABLE | OS_FLAG_APPEND | OS_FLAG_SYSTEM_IMMUTABLE |
                       OS_FLAG_SYSTEM_APPEND | OS_FLAG_SYSTEM_NOUNLINK
};

enum { OS_FLAGS_ALL = 2 * OS_FLAG_SYSTEM_NOUNLINK - 1 };

struct os_stat {
    mode_t mode;
    uid_t uid;
    gid_t gid;
    dev_t rdev;
    dev_t dev;
    uint64_t ino;
    uint64_t nlink;
    uint64_t size_bytes;
    uint64_t allocated_bytes;
    struct timespec atime;
    struct timespec mtime;
    struct timespec ctime;
    struct timespec birth; /* zero where nobody can set it (Linux) */
    unsigned flags;        /* OS_FLAG_... */
    bool mount_root;       /* something is mounted here */
};

/* Opens a directory for reading; path may have several components, PATH_MAX - 1 bytes at most. */
int os_open_dir(int dirfd, const char *path);

/* The same for the root of a tree: mount points and links above its last component do not matter.
 */
int os_open_root(int dirfd, const char *path);

/* Opens a file for reading without waiting for anything (a FIFO, a device). */
int os_open_file(int dirfd, const char *name);

/* Opens a handle of an entry of any kind, a symlink itself among them; no data can be read by it,
 * and nothing happens to a device. macOS has no such thing for sockets and devices, EOPNOTSUPP;
 * they have no extended attributes that could be asked for. */
int os_open_handle(int dirfd, const char *name);

/* Reads the target of the symlink that fd is a handle of. As readlink(2) otherwise. */
ssize_t os_read_link(int fd, char *target, size_t size);

/* Has the kernel copy at most size bytes at offset to the same place of target_fd: how many, 0 at
 * the end of the source, or -1 and errno: EXDEV, EINVAL, EOPNOTSUPP, ENOSYS if it does not. */
ssize_t os_copy_range(int source_fd, int target_fd, off_t offset, size_t size);

/* Describes what fd is open on. */
int os_stat(int fd, struct os_stat *out_stat);

/* Describes the entry name of dirfd, a symlink itself. */
int os_stat_at(int dirfd, const char *name, struct os_stat *out_stat);

/* What of the regular file name of dirfd ("": of the file dirfd) is on disk for it alone, and would
 * be free if it was removed. False where the system does not tell. */
bool os_private_bytes(int dirfd, const char *name, uint64_t *out_bytes);

/*
 * Some file systems keep inodes and data in groups, and whoever changes something in a group keeps
 * others out of it. os_group_bits tells how many low bits of an inode's number tell the inodes of a
 * group apart, 0 if the file system of fd has no groups or none that show; never fails.
 */
unsigned os_group_bits(int fd);

/* The group of an inode, from 1; 0 = not known. */
static inline uint64_t os_group(unsigned group_bits, uint64_t inode)
{
    return group_bits > 0 && inode > 0 ? 1 + (inode >> group_bits) : 0;
}

/* Sets the birth time of what fd is open on, or of the entry of dirfd, a symlink itself. Setting an
 * earlier mtime than that moves it there, so it comes last. EOPNOTSUPP on Linux. */
int os_set_birth(int fd, const struct timespec *birth);
int os_set_birth_at(int dirfd, const char *entry, const struct timespec *birth);

/* Sets the flags given (true) or clears them (false); others stay, and those that the system does
 * not have are as if they were not given. fd is a file or a directory. */
int os_change_flags(int fd, unsigned flags, bool set);

/* Extended attributes by descriptor; a handle of os_open_handle will do. As flistxattr(2),
 * fgetxattr(2), fsetxattr(2) and fremovexattr(2) of Linux otherwise: ENODATA if there is none,
 * EOPNOTSUPP if the file system takes none of this name. On macOS the ACL is one (acl_darwin.h),
 * and those that the system gives to each inode are not shown. */
ssize_t os_xattr_list(int fd, char *names, size_t size);
ssize_t os_xattr_get(int fd, const char *name, void *value, size_t size);
int os_xattr_set(int fd, const char *name, const void *value, size_t size);
int os_xattr_remove(int fd, const char *name);

/* The same for the entry of dirfd, a symlink itself; "" is the directory. */
ssize_t os_xattr_list_at(int dirfd, const char *entry, char *names, size_t size);
ssize_t os_xattr_get_at(int dirfd, const char *entry, const char *name, void *value, size_t size);

/* True if the entry (or, for "", dirfd itself) has an ACL that is no extended attribute. */
bool os_has_acl_at(int dirfd, const char *entry);

/* Removes such an ACL, if there is one. */
int os_remove_acl(int fd);

/* True if the system tells at once that the entry which name finds in dirfd is spelled so; false if
 * it is not, or cannot tell (Linux). Of a file with several links it may tell another one. */
bool os_is_spelled(int dirfd, const char *name);

/* True in a user namespace, where devices cannot be made. */
bool os_in_user_namespace(void);
