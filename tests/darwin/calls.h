/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Types and calls of macOS whose names Linux has for something else. Here they are called
 * darwin_...; the sources that are tested see them under their own names (include/darwin.h).
 */
#include <stdint.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#undef st_atime
#undef st_mtime
#undef st_ctime

struct darwin_stat {
    dev_t st_dev;
    mode_t st_mode;
    uint16_t st_nlink;
    ino_t st_ino;
    uid_t st_uid;
    gid_t st_gid;
    dev_t st_rdev;
    struct timespec st_atimespec;
    struct timespec st_mtimespec;
    struct timespec st_ctimespec;
    struct timespec st_birthtimespec;
    off_t st_size;
    blkcnt_t st_blocks;
    blksize_t st_blksize;
    uint32_t st_flags;
    uint32_t st_gen;
};

struct darwin_fsid {
    int32_t val[2];
};

struct darwin_statfs {
    uint32_t f_bsize;
    int32_t f_iosize;
    uint64_t f_blocks;
    uint64_t f_bfree;
    uint64_t f_bavail;
    uint64_t f_files;
    uint64_t f_ffree;
    struct darwin_fsid f_fsid;
    uid_t f_owner;
    uint32_t f_type;
    uint32_t f_flags;
    uint32_t f_fssubtype;
    char f_fstypename[16];
    char f_mntonname[1024];
    char f_mntfromname[1024];
};

/* Shorter than on Linux, and with its length in it. */
struct darwin_sockaddr_un {
    unsigned char sun_len;
    unsigned char sun_family;
    char sun_path[104];
};

enum {
    /* open(2); none is a flag of Linux */
    DARWIN_O_EVTONLY = 0x02000000,
    DARWIN_O_SYMLINK = 0x04000000,
    DARWIN_O_NOFOLLOW_ANY = 0x08000000,
    DARWIN_O_SEARCH = 0x10000000,
    /* fcntl(2); the numbers of macOS, moved */
    DARWIN_F_PREALLOCATE = 0x1002a,
    DARWIN_F_RDADVISE = 0x1002c,
    DARWIN_F_RDAHEAD = 0x1002d,
    DARWIN_F_NOCACHE = 0x10030,
    DARWIN_F_GETPATH = 0x10032,
    DARWIN_F_FULLFSYNC = 0x10033,
    DARWIN_F_BARRIERFSYNC = 0x10055,
    DARWIN_F_PUNCHHOLE = 0x10063,
    /* fpathconf(3) */
    DARWIN_PC_CASE_SENSITIVE = 0x1000b,
    /* errno: two that are not what Linux has under the next best name */
    DARWIN_ENOTSUP = 1045,
    DARWIN_ENOATTR = 1093,
};

enum {
    UF_SETTABLE = 0xffff,
    UF_NODUMP = 0x1,
    UF_IMMUTABLE = 0x2,
    UF_APPEND = 0x4,
    UF_OPAQUE = 0x8,
    UF_COMPRESSED = 0x20,
    UF_TRACKED = 0x40,
    UF_DATAVAULT = 0x80,
    UF_HIDDEN = 0x8000,
    SF_ARCHIVED = 0x10000,
    SF_IMMUTABLE = 0x20000,
    SF_APPEND = 0x40000,
    SF_RESTRICTED = 0x80000,
    SF_NOUNLINK = 0x100000,
    SF_FIRMLINK = 0x800000,
    SF_DATALESS = 0x40000000,
};

/* fcntl(2) */
typedef struct {
    unsigned fst_flags;
    int fst_posmode;
    off_t fst_offset;
    off_t fst_length;
    off_t fst_bytesalloc;
} fstore_t;

typedef struct {
    unsigned fp_flags;
    unsigned reserved;
    off_t fp_offset;
    off_t fp_length;
} fpunchhole_t;

struct radvisory {
    off_t ra_offset;
    int ra_count;
};

/* status.c, mount.c */
int darwin_fstat(int fd, struct darwin_stat *out);
int darwin_stat(const char *path, struct darwin_stat *out);
int darwin_lstat(const char *path, struct darwin_stat *out);
int darwin_fstatat(int dirfd, const char *path, struct darwin_stat *out, int flags);
int darwin_fstatfs(int fd, struct darwin_statfs *out);
int darwin_statfs(const char *path, struct darwin_statfs *out);

/* open.c, control.c */
int darwin_open(const char *path, int flags, ...);
int darwin_openat(int dirfd, const char *path, int flags, ...);
int darwin_fcntl(int fd, int command, ...);
long darwin_fpathconf(int fd, int name);

/* names.c */
int darwin_mkdirat(int dirfd, const char *path, mode_t mode);
int darwin_mkdir(const char *path, mode_t mode);
int darwin_symlinkat(const char *target, int dirfd, const char *path);
int darwin_mknodat(int dirfd, const char *path, mode_t mode, dev_t device);
int darwin_mkfifoat(int dirfd, const char *path, mode_t mode);
int darwin_linkat(int old_dirfd, const char *old_path, int dirfd, const char *path, int flags);
int darwin_renameat(int old_dirfd, const char *old_path, int dirfd, const char *path);
int darwin_rename(const char *old_path, const char *path);
int darwin_unlinkat(int dirfd, const char *path, int flags);
int darwin_unlink(const char *path);
int darwin_faccessat(int dirfd, const char *path, int mode, int flags);

/* modes.c */
int darwin_fchmod(int fd, mode_t mode);
int darwin_fchmodat(int dirfd, const char *path, mode_t mode, int flags);
int darwin_fchown(int fd, uid_t uid, gid_t gid);
int darwin_fchownat(int dirfd, const char *path, uid_t uid, gid_t gid, int flags);
int darwin_futimens(int fd, const struct timespec times[2]);
int darwin_utimensat(int dirfd, const char *path, const struct timespec times[2], int flags);

/* xattr.c */
ssize_t darwin_flistxattr(int fd, char *names, size_t size, int options);
ssize_t darwin_fgetxattr(int fd, const char *name, void *value, size_t size, uint32_t position,
                         int options);
int darwin_fsetxattr(int fd, const char *name, const void *value, size_t size, uint32_t position,
                     int options);
int darwin_fremovexattr(int fd, const char *name, int options);

/* socket.c */
int darwin_bind(int fd, const struct sockaddr *address, socklen_t size);
int darwin_connect(int fd, const struct sockaddr *address, socklen_t size);

/* text.c */
int darwin_strerror_r(int number, char *buffer, size_t size);
