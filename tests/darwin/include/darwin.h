/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Included before everything else in the sources that are compiled as for macOS. The headers of
 * Linux that it brings come first, under their own names; from here on the names mean what they
 * mean on macOS. What sources may use, but Linux lacks, has a header of its own beside this one.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/darwin/calls.h"

#define fstat darwin_fstat
#define stat darwin_stat
#define lstat darwin_lstat
#define fstatat darwin_fstatat
#define fstatfs darwin_fstatfs
#define statfs darwin_statfs
#define fsid_t struct darwin_fsid
#define open darwin_open
#define openat darwin_openat
#define fcntl darwin_fcntl
#define fpathconf darwin_fpathconf
#define mkdir darwin_mkdir
#define mkdirat darwin_mkdirat
#define symlinkat darwin_symlinkat
#define mknodat darwin_mknodat
#define mkfifoat darwin_mkfifoat
#define linkat darwin_linkat
#define rename darwin_rename
#define renameat darwin_renameat
#define unlink darwin_unlink
#define unlinkat darwin_unlinkat
#define faccessat darwin_faccessat
#define fchmod darwin_fchmod
#define fchmodat darwin_fchmodat
#define fchown darwin_fchown
#define fchownat darwin_fchownat
#define futimens darwin_futimens
#define utimensat darwin_utimensat
#define flistxattr darwin_flistxattr
#define fgetxattr darwin_fgetxattr
#define fsetxattr darwin_fsetxattr
#define fremovexattr darwin_fremovexattr
#define sockaddr_un darwin_sockaddr_un
#define bind darwin_bind
#define connect darwin_connect
#define strerror_r darwin_strerror_r

/* base/stat.h uses the names of POSIX. */
#define st_atim st_atimespec
#define st_mtim st_mtimespec
#define st_ctim st_ctimespec
#define st_atime st_atimespec.tv_sec
#define st_mtime st_mtimespec.tv_sec
#define st_ctime st_ctimespec.tv_sec

/* What macOS has not. */
#undef O_PATH
#undef O_TMPFILE
#undef O_NOATIME
#undef AT_EMPTY_PATH
#undef renameat2
#undef BLOCK_SIZE
#undef BLOCK_SIZE_BITS

#undef PATH_MAX
#define PATH_MAX 1024
#undef ENOTSUP
#define ENOTSUP DARWIN_ENOTSUP
#define ENOATTR DARWIN_ENOATTR
#define OPEN_MAX 10240

#define O_EVTONLY DARWIN_O_EVTONLY
#define O_SYMLINK DARWIN_O_SYMLINK
#define O_NOFOLLOW_ANY DARWIN_O_NOFOLLOW_ANY
#define O_SEARCH DARWIN_O_SEARCH

#define _PC_CASE_SENSITIVE DARWIN_PC_CASE_SENSITIVE

#define F_PREALLOCATE DARWIN_F_PREALLOCATE
#define F_RDADVISE DARWIN_F_RDADVISE
#define F_RDAHEAD DARWIN_F_RDAHEAD
#define F_NOCACHE DARWIN_F_NOCACHE
#define F_GETPATH DARWIN_F_GETPATH
#define F_FULLFSYNC DARWIN_F_FULLFSYNC
#define F_BARRIERFSYNC DARWIN_F_BARRIERFSYNC
#define F_PUNCHHOLE DARWIN_F_PUNCHHOLE

enum { F_ALLOCATECONTIG = 2, F_ALLOCATEALL = 4, F_ALLOCATEPERSIST = 8, F_PEOFPOSMODE = 3 };

/* sys/mount.h */
enum {
    MNT_RDONLY = 0x1,
    MNT_NOEXEC = 0x4,
    MNT_NOSUID = 0x8,
    MNT_NODEV = 0x10,
    MNT_REMOVABLE = 0x200,
    MNT_QUARANTINE = 0x400,
    MNT_LOCAL = 0x1000,
    MNT_DONTBROWSE = 0x100000,
    MNT_IGNORE_OWNERSHIP = 0x200000,
};

/* stdio.h */
enum { RENAME_SECLUDE = 0x1, RENAME_SWAP = 0x2, RENAME_EXCL = 0x4 };
#undef RENAME_NOREPLACE
#undef RENAME_EXCHANGE
int renamex_np(const char *old_path, const char *path, unsigned flags);
int renameatx_np(int old_dirfd, const char *old_path, int dirfd, const char *path, unsigned flags);

/* string.h */
size_t strlcpy(char *to, const char *from, size_t size);
size_t strlcat(char *to, const char *from, size_t size);

/* sys/stat.h */
struct filesec;
typedef struct filesec *filesec_t;
typedef enum { FILESEC_OWNER = 1, FILESEC_ACL = 5 } filesec_property_t;
#define _FILESEC_REMOVE_ACL ((void *) 1)
filesec_t filesec_init(void);
void filesec_free(filesec_t security);
int filesec_set_property(filesec_t security, filesec_property_t property, const void *value);
int fchmodx_np(int fd, filesec_t security);
int chflags(const char *path, unsigned flags);
int lchflags(const char *path, unsigned flags);
int fchflags(int fd, unsigned flags);

/* unistd.h */
ssize_t freadlink(int fd, char *target, size_t size);

/* sys/xattr.h */
enum { XATTR_NOFOLLOW = 0x1, XATTR_SHOWCOMPRESSION = 0x20 };
#undef XATTR_CREATE
#undef XATTR_REPLACE
#define XATTR_CREATE 0x2
#define XATTR_REPLACE 0x4
#define XATTR_MAXNAMELEN 127
#define XATTR_FINDERINFO_NAME "com.apple.FinderInfo"
#define XATTR_RESOURCEFORK_NAME "com.apple.ResourceFork"

/* sys/resource.h */
enum { IOPOL_TYPE_DISK = 0, IOPOL_TYPE_VFS_ATIME_UPDATES = 2 };
enum { IOPOL_SCOPE_PROCESS = 0, IOPOL_SCOPE_THREAD = 1 };
enum { IOPOL_ATIME_UPDATES_DEFAULT = 0, IOPOL_ATIME_UPDATES_OFF = 1 };
int setiopolicy_np(int type, int scope, int policy);
