/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/os.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stddef.h>
#include <string.h>
#include <sys/attr.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tree/acl_darwin.h"
#include "tree/xattr_darwin.h"

static const struct attrlist mount_attributes = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                                                 .commonattr = ATTR_CMN_FSID};

struct mount_answer {
    uint32_t length;
    fsid_t mount;
};

/* The same device number does not mean the same mount: the volumes of the system share one. */
static bool is_same_mount(int dirfd, int fd)
{
    struct attrlist wanted = mount_attributes;
    struct mount_answer of_dir;
    struct mount_answer of_fd;
    return getattrlistat(dirfd, ".", &wanted, &of_dir, sizeof of_dir, 0) == 0 &&
           fgetattrlist(fd, &wanted, &of_fd, sizeof of_fd, 0) == 0 &&
           memcmp(&of_dir.mount, &of_fd.mount, sizeof of_dir.mount) == 0;
}

static int open_beneath_mount(int dirfd, const char *path, int flags)
{
    owned(fd_close) int fd = openat(dirfd, path, flags | O_CLOEXEC);
    if (fd < 0)
        return -1;
    errno = EXDEV;
    return is_same_mount(dirfd, fd) ? fd_take(&fd) : -1;
}

static void stop_atimes(void)
{
    (void) setiopolicy_np(IOPOL_TYPE_VFS_ATIME_UPDATES, IOPOL_SCOPE_PROCESS,
                          IOPOL_ATIME_UPDATES_OFF);
}

/* Reading an origin must not change it; that is asked for a process, not for a file. */
static int open_keeping_atime(int dirfd, const char *path, int flags)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    (void) pthread_once(&once, stop_atimes);
    return open_beneath_mount(dirfd, path, flags | O_RDONLY | O_NOFOLLOW_ANY);
}

int os_open_dir(int dirfd, const char *path)
{
    return open_keeping_atime(dirfd, path, O_DIRECTORY);
}

int os_open_root(int dirfd, const char *path)
{
    const char *slash = strrchr(path, '/');
    if (!slash)
        return os_open_dir(dirfd, path);
    owned(mem_free) char *parent = mem_strndup(path, (size_t) (slash - path) + 1);
    owned(fd_close) int parent_fd = openat(dirfd, parent, O_SEARCH | O_CLOEXEC);
    return parent_fd < 0 ? -1 : os_open_dir(parent_fd, slash + 1);
}

int os_open_file(int dirfd, const char *name)
{
    return open_keeping_atime(dirfd, name, O_NONBLOCK | O_NOCTTY);
}

/* Of a symlink O_SYMLINK, which cannot be had with O_NOFOLLOW_ANY, opens the link itself. */
int os_open_handle(int dirfd, const char *name)
{
    struct stat found;
    if (fstatat(dirfd, name, &found, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    if (S_ISSOCK(found.st_mode) || S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode)) {
        errno = EOPNOTSUPP;
        return -1;
    }
    return open_beneath_mount(dirfd, name, O_EVTONLY | O_SYMLINK | O_NONBLOCK | O_NOCTTY);
}

static const struct {
    unsigned flag;
    uint32_t raw;
} known_flags[] = {{OS_FLAG_IMMUTABLE, UF_IMMUTABLE},
                   {OS_FLAG_APPEND, UF_APPEND},
                   {OS_FLAG_NODUMP, UF_NODUMP},
                   {OS_FLAG_OPAQUE, UF_OPAQUE},
                   {OS_FLAG_HIDDEN, UF_HIDDEN},
                   {OS_FLAG_ARCHIVED, SF_ARCHIVED},
                   {OS_FLAG_SYSTEM_IMMUTABLE, SF_IMMUTABLE},
                   {OS_FLAG_SYSTEM_APPEND, SF_APPEND},
                   {OS_FLAG_SYSTEM_NOUNLINK, SF_NOUNLINK}};

enum { KNOWN_FLAGS = sizeof known_flags / sizeof known_flags[0] };

/* Symlinks and the like can have flags, too, but on no other system. */
static unsigned to_flags(mode_t mode, uint32_t raw)
{
    unsigned flags = 0;
    for (size_t i = 0; i < KNOWN_FLAGS && (S_ISREG(mode) || S_ISDIR(mode)); i++)
        flags |= raw & known_flags[i].raw ? known_flags[i].flag : 0U;
    return flags;
}

static void convert_stat(const struct stat *raw, struct os_stat *out_stat)
{
    *out_stat = (struct os_stat){
        .mode = raw->st_mode,
        .uid = raw->st_uid,
        .gid = raw->st_gid,
        .rdev = raw->st_rdev,
        .dev = raw->st_dev,
        .ino = raw->st_ino,
        .nlink = raw->st_nlink,
        .size_bytes = (uint64_t) raw->st_size,
        .allocated_bytes = (uint64_t) raw->st_blocks * 512,
        .atime = raw->st_atimespec,
        .mtime = raw->st_mtimespec,
        .ctime = raw->st_ctimespec,
        .birth = raw->st_birthtimespec,
        .flags = to_flags(raw->st_mode, raw->st_flags),
    };
}

static const struct attrlist status_attributes = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                                                  .dirattr = ATTR_DIR_MOUNTSTATUS};

struct status_answer {
    uint32_t length;
    uint32_t status;
};

static bool says_mounted(const struct status_answer *answer)
{
    return answer->length == sizeof *answer && (answer->status & DIR_MNTSTATUS_MNTPOINT) != 0;
}

int os_stat(int fd, struct os_stat *out_stat)
{
    struct attrlist wanted = status_attributes;
    struct status_answer answer = {0};
    struct stat raw;
    if (fstat(fd, &raw) != 0)
        return -1;
    convert_stat(&raw, out_stat);
    if (!S_ISDIR(raw.st_mode))
        return 0;
    if (fgetattrlist(fd, &wanted, &answer, sizeof answer, 0) != 0)
        return -1;
    out_stat->mount_root = says_mounted(&answer);
    return 0;
}

int os_stat_at(int dirfd, const char *name, struct os_stat *out_stat)
{
    struct attrlist wanted = status_attributes;
    struct status_answer answer = {0};
    struct stat raw;
    if (fstatat(dirfd, name, &raw, AT_SYMLINK_NOFOLLOW) != 0)
        return -1;
    convert_stat(&raw, out_stat);
    if (!S_ISDIR(raw.st_mode))
        return 0;
    if (getattrlistat(dirfd, name, &wanted, &answer, sizeof answer, FSOPT_NOFOLLOW) != 0)
        return -1;
    out_stat->mount_root = says_mounted(&answer);
    return 0;
}

/* APFS has no groups. */
unsigned os_group_bits(int fd)
{
    (void) fd;
    return 0;
}

ssize_t os_read_link(int fd, char *target, size_t size)
{
    return freadlink(fd, target, size);
}

ssize_t os_copy_range(int source_fd, int target_fd, off_t offset, size_t size)
{
    (void) source_fd;
    (void) target_fd;
    (void) offset;
    (void) size;
    errno = ENOSYS;
    return -1;
}

static uint32_t to_raw_flags(unsigned flags)
{
    uint32_t raw = 0;
    for (size_t i = 0; i < KNOWN_FLAGS; i++)
        raw |= flags & known_flags[i].flag ? known_flags[i].raw : 0U;
    return raw;
}

static const struct attrlist birth_attributes = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                                                 .commonattr = ATTR_CMN_CRTIME};

/* Says with the number of Linux that a file system has no birth times. */
static int birth_result(int result)
{
    if (result != 0 && (errno == ENOTSUP || errno == EINVAL))
        errno = EOPNOTSUPP;
    return result;
}

int os_set_birth(int fd, const struct timespec *birth)
{
    struct attrlist wanted = birth_attributes;
    struct timespec value = *birth;
    return birth_result(fsetattrlist(fd, &wanted, &value, sizeof value, 0));
}

int os_set_birth_at(int dirfd, const char *entry, const struct timespec *birth)
{
    struct attrlist wanted = birth_attributes;
    struct timespec value = *birth;
    return birth_result(setattrlistat(dirfd, entry, &wanted, &value, sizeof value, FSOPT_NOFOLLOW));
}

/* All other flags stay, among them the one that says that the data is compressed. */
int os_change_flags(int fd, unsigned flags, bool set)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return -1;
    uint32_t raw =
        set ? found.st_flags | to_raw_flags(flags) : found.st_flags & ~to_raw_flags(flags);
    if (raw == found.st_flags || fchflags(fd, raw) == 0)
        return 0;
    errno = errno == ENOTSUP ? EOPNOTSUPP : errno;
    return -1;
}

/* Says with the numbers of Linux what both systems say. */
static ssize_t xattr_result(ssize_t result)
{
    if (result < 0 && errno == ENOATTR)
        errno = ENODATA;
    if (result < 0 && errno == ENOTSUP)
        errno = EOPNOTSUPP;
    return result;
}

/* What the system sets by itself on each inode, differently, and lets nobody else set; and what
 * only looks like an ACL. */
static bool is_hidden(const char *name)
{
    return strcmp(name, "com.apple.provenance") == 0 || strcmp(name, "com.apple.macl") == 0 ||
           strcmp(name, "com.apple.rootless") == 0 || strcmp(name, ACL_ATTRIBUTE) == 0;
}

/* Takes the hidden ones out of the names; returns how many bytes are left. */
static size_t drop_hidden(char *names, size_t length)
{
    size_t kept = 0;
    for (size_t at = 0; at < length;) {
        size_t size = strlen(names + at) + 1;
        if (!is_hidden(names + at)) {
            memmove(names + kept, names + at, size);
            kept += size;
        }
        at += size;
    }
    return kept;
}

ssize_t os_xattr_list(int fd, char *names, size_t size)
{
    ssize_t length = xattr_result(flistxattr(fd, names, size, 0));
    if (length < 0)
        return -1;
    size_t used = size > 0 ? drop_hidden(names, (size_t) length) : (size_t) length;
    if (!acl_text_exists(fd))
        return (ssize_t) used;
    if (size > 0 && size - used < sizeof ACL_ATTRIBUTE) {
        errno = ERANGE;
        return -1;
    }
    if (size > 0)
        memcpy(names + used, ACL_ATTRIBUTE, sizeof ACL_ATTRIBUTE);
    return (ssize_t) (used + sizeof ACL_ATTRIBUTE);
}

/* A resource fork is read as far as the buffer goes, with no error if there is more of it. */
static bool is_cut(int fd, const char *name, size_t size)
{
    return strcmp(name, XATTR_RESOURCEFORK_NAME) == 0 && size > 0 &&
           fgetxattr(fd, name, NULL, 0, 0, 0) > (ssize_t) size;
}

ssize_t os_xattr_get(int fd, const char *name, void *value, size_t size)
{
    if (strcmp(name, ACL_ATTRIBUTE) == 0)
        return xattr_result(acl_text_get(fd, value, size));
    if (is_cut(fd, name, size)) {
        errno = ERANGE;
        return -1;
    }
    return xattr_result(fgetxattr(fd, name, value, size, 0, 0));
}

/* Names may have 127 bytes, and some of Apple's are the system's own. */
static bool is_refused(const char *name)
{
    return errno == ENAMETOOLONG ||
           ((errno == EPERM || errno == EACCES) && strncmp(name, "com.apple.", 10) == 0);
}

int os_xattr_set(int fd, const char *name, const void *value, size_t size)
{
    if (strcmp(name, ACL_ATTRIBUTE) == 0)
        return (int) xattr_result(acl_text_set(fd, value, size));
    int result = fsetxattr(fd, name, value, size, 0, 0);
    if (result != 0 && is_refused(name))
        errno = EOPNOTSUPP;
    return (int) xattr_result(result);
}

int os_xattr_remove(int fd, const char *name)
{
    if (strcmp(name, ACL_ATTRIBUTE) == 0)
        return acl_text_remove(fd);
    int result = fremovexattr(fd, name, 0);
    if (result != 0 && is_refused(name))
        errno = EOPNOTSUPP;
    return (int) xattr_result(result);
}

/* There is no call that takes a directory and a name. What no handle can be had of has no
 * attributes. */
static int open_entry(int dirfd, const char *entry)
{
    return entry[0] ? os_open_handle(dirfd, entry) : openat(dirfd, ".", O_RDONLY | O_CLOEXEC);
}

ssize_t os_xattr_list_at(int dirfd, const char *entry, char *names, size_t size)
{
    owned(fd_close) int fd = open_entry(dirfd, entry);
    if (fd < 0)
        return errno == EOPNOTSUPP ? 0 : -1;
    return os_xattr_list(fd, names, size);
}

ssize_t os_xattr_get_at(int dirfd, const char *entry, const char *name, void *value, size_t size)
{
    owned(fd_close) int fd = open_entry(dirfd, entry);
    return fd < 0 ? -1 : os_xattr_get(fd, name, value, size);
}

/* What is asked for is not read: its length tells whether it is there. */
bool os_has_acl_at(int dirfd, const char *entry)
{
    struct attrlist wanted = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                              .commonattr = ATTR_CMN_EXTENDED_SECURITY};
    struct {
        uint32_t length;
        attrreference_t security;
        char room[512];
    } answer = {0};
    return getattrlistat(dirfd, entry[0] ? entry : ".", &wanted, &answer, sizeof answer,
                         FSOPT_NOFOLLOW) == 0 &&
           answer.length > sizeof answer.length && answer.security.attr_length > 0;
}

int os_remove_acl(int fd)
{
    return acl_text_exists(fd) ? acl_text_remove(fd) : 0;
}

static const struct attrlist name_attributes = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                                                .commonattr = ATTR_CMN_NAME};

/* A name may take three times as many bytes as it has characters. */
struct name_answer {
    uint32_t length;
    attrreference_t reference;
    char text[3 * NAME_MAX + 1];
};

bool os_is_spelled(int dirfd, const char *name)
{
    struct attrlist wanted = name_attributes;
    struct name_answer answer = {0};
    if (getattrlistat(dirfd, name, &wanted, &answer, sizeof answer, FSOPT_NOFOLLOW) != 0)
        return false;
    size_t start =
        offsetof(struct name_answer, reference) + (size_t) answer.reference.attr_dataoffset;
    size_t size = strlen(name) + 1;
    return answer.reference.attr_dataoffset > 0 && start + size <= sizeof answer &&
           answer.reference.attr_length == size &&
           memcmp((const char *) &answer + start, name, size) == 0;
}

bool os_in_user_namespace(void)
{
    return false;
}

static const struct attrlist private_attributes = {.bitmapcount = ATTR_BIT_MAP_COUNT,
                                                   .forkattr = ATTR_CMNEXT_PRIVATESIZE};

/* Eight bytes that are aligned to four. */
struct private_answer {
    uint32_t length;
    uint8_t bytes[sizeof(uint64_t)];
};

bool os_private_bytes(int dirfd, const char *name, uint64_t *out_bytes)
{
    struct attrlist wanted = private_attributes;
    struct private_answer answer = {0};
    int result =
        name[0] ? getattrlistat(dirfd, name, &wanted, &answer, sizeof answer,
                                FSOPT_NOFOLLOW | FSOPT_ATTR_CMN_EXTENDED)
                : fgetattrlist(dirfd, &wanted, &answer, sizeof answer, FSOPT_ATTR_CMN_EXTENDED);
    memcpy(out_bytes, answer.bytes, sizeof *out_bytes);
    return result == 0 && answer.length == sizeof answer;
}
