/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <linux/fs.h>
#include <linux/posix_acl.h>
#include <linux/posix_acl_xattr.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/platform.h"
#include "tests/unit/tree_sample.h"

static void must(int result, const char *what)
{
    if (result < 0)
        fail_msg("%s: %s", what, strerror(errno));
}

/* Other file systems have fewer features. */
static void may(int result, const char *what)
{
    if (result < 0 && errno != EOPNOTSUPP && errno != ENOTTY && errno != EPERM)
        fail_msg("%s: %s", what, strerror(errno));
}

void tree_sample_file(int dirfd, const char *path, const char *content)
{
    int fd = openat(dirfd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    must(fd, path);
    must((int) write(fd, content, strlen(content)), path);
    must(fchmod(fd, 0644), path);
    must(close(fd), path);
}

void tree_sample_dir(int dirfd, const char *path)
{
    must(mkdirat(dirfd, path, 0755), path);
    must(fchmodat(dirfd, path, 0755, 0), path);
}

void tree_sample_time(int dirfd, const char *path, long seconds, long nanos)
{
    struct timespec times[2] = {{.tv_sec = seconds + 7, .tv_nsec = nanos / 2},
                                {.tv_sec = seconds, .tv_nsec = nanos}};
    must(utimensat(dirfd, path, times, AT_SYMLINK_NOFOLLOW), path);
}

int tree_sample_flags(int dirfd, const char *path, int flags)
{
    int found = 0;
    int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC);
    must(fd, path);
    int result = ioctl(fd, FS_IOC_GETFLAGS, &found);
    found |= flags;
    if (result == 0)
        result = ioctl(fd, FS_IOC_SETFLAGS, &found);
    (void) close(fd);
    return result;
}

size_t tree_sample_acl(unsigned char acl[64])
{
    struct posix_acl_xattr_header header = {.a_version = POSIX_ACL_XATTR_VERSION};
    struct posix_acl_xattr_entry entries[] = {
        {ACL_USER_OBJ, ACL_READ | ACL_WRITE | ACL_EXECUTE, 0xffffffffU},
        {ACL_USER, ACL_READ | ACL_EXECUTE, 1234},
        {ACL_GROUP_OBJ, ACL_READ, 0xffffffffU},
        {ACL_MASK, ACL_READ | ACL_EXECUTE, 0xffffffffU},
        {ACL_OTHER, 0, 0xffffffffU},
    };
    memcpy(acl, &header, sizeof header);
    memcpy(acl + sizeof header, entries, sizeof entries);
    return sizeof header + sizeof entries;
}

size_t tree_sample_capability(unsigned char capability[32])
{
    struct vfs_cap_data data = {.magic_etc = VFS_CAP_REVISION_2 | VFS_CAP_FLAGS_EFFECTIVE};
    data.data[0].permitted = 1U << CAP_NET_BIND_SERVICE;
    memcpy(capability, &data, sizeof data);
    return sizeof data;
}

/* Extended attributes by path: the volume may be deep, the sample is not. */
static void set_xattr(int dirfd, const char *path, const char *name, const void *value, size_t size)
{
    char full[PATH_MAX];
    (void) snprintf(full, sizeof full, "/proc/self/fd/%d/%s", dirfd, path);
    may(lsetxattr(full, name, value, size, 0), name);
}

static void make_plain_files(int root)
{
    char name[256];
    tree_sample_file(root, "empty", "");
    tree_sample_file(root, "small", "a few bytes\n");
    tree_sample_file(root, platform_is_darwin() ? "caf\xc3\xa9" : "caf\xe9 not utf-8", "latin-1");
    tree_sample_file(root, "new\nline", "x");
    memset(name, 'n', 255);
    name[255] = '\0';
    tree_sample_file(root, name, "a long name");
    tree_sample_file(root, "unreadable", "secret");
    must(fchmodat(root, "unreadable", 0, 0), "chmod");

    char block[65536];
    int fd = openat(root, "big", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    for (int i = 0; i < 40; i++) {
        memset(block, 'A' + i, sizeof block);
        must((int) write(fd, block, sizeof block - 3), "big");
    }
    must(close(fd), "big");
    fd = openat(root, "sparse", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    must((int) pwrite(fd, block, sizeof block, 1 << 20), "sparse");
    must((int) pwrite(fd, block, sizeof block, 3 << 20), "sparse");
    must(ftruncate(fd, (8 << 20) + 5), "sparse");
    must(close(fd), "sparse");
    fd = openat(root, "hole", O_WRONLY | O_CREAT | O_CLOEXEC, 0640);
    must(ftruncate(fd, 1 << 20), "hole");
    must(close(fd), "hole");
}

static void make_owned_file(int root, const char *name, uid_t uid, gid_t gid, mode_t mode)
{
    tree_sample_file(root, name, name);
    may(fchownat(root, name, uid, gid, 0), "chown");
    must(fchmodat(root, name, mode, 0), "chmod");
}

static void make_attributes(int root)
{
    unsigned char acl[64];
    unsigned char capability[32];
    size_t acl_size = tree_sample_acl(acl);
    char value[900];
    make_owned_file(root, "owned", 1000, 1001, 0664);
    make_owned_file(root, "set-uid", 0, 0, 04755);
    make_owned_file(root, "set-both", 1000, 1001, 06711);
    make_owned_file(root, "sticky", 0, 5, 01644);
    tree_sample_file(root, "xattrs", "with attributes");
    memset(value, 'v', sizeof value);
    set_xattr(root, "xattrs", "user.empty", "", 0);
    set_xattr(root, "xattrs", "user.long", value, sizeof value);
    set_xattr(root, "xattrs", "trusted.binary", "\0\1\2\xff", 4);
    make_owned_file(root, "many-xattrs", 12, 13, 0600);
    for (int i = 0; i < 20; i++) {
        (void) snprintf(value, sizeof value, "user.attribute-number-%d", i);
        set_xattr(root, "many-xattrs", value, value, 10);
    }
    make_owned_file(root, "capable", 1000, 0, 0755);
    set_xattr(root, "capable", "security.capability", capability,
              tree_sample_capability(capability));
    tree_sample_file(root, "acl", "with an ACL");
    set_xattr(root, "acl", "system.posix_acl_access", acl, acl_size);
}

static void make_special_files(int root)
{
    must(symlinkat("/no/such/target", root, "dangling"), "symlink");
    must(symlinkat("small", root, "link"), "symlink");
    may(fchownat(root, "link", 77, 78, AT_SYMLINK_NOFOLLOW), "lchown");
    set_xattr(root, "link", "trusted.of-the-link", "yes", 3);
    must(mkfifoat(root, "fifo", 0620), "fifo");
    must(fchmodat(root, "fifo", 0622, 0), "fifo");
    set_xattr(root, "fifo", "trusted.of-the-fifo", "yes", 3);
    must(mknodat(root, "socket", S_IFSOCK | 0755, 0), "socket");
    may(mknodat(root, "null", S_IFCHR | 0666, makedev(1, 3)), "device");
    may(mknodat(root, "block", S_IFBLK | 0660, makedev(259, 70000)), "device");
    may(mknodat(root, "whiteout", S_IFCHR, makedev(0, 0)), "device");
}

static void make_directories(int root)
{
    unsigned char acl[64];
    size_t acl_size = tree_sample_acl(acl);
    tree_sample_dir(root, "empty-dir");
    must(fchmodat(root, "empty-dir", 01777, 0), "chmod");
    tree_sample_dir(root, "closed");
    tree_sample_file(root, "closed/inside", "x");
    must(fchmodat(root, "closed", 0555, 0), "chmod");
    tree_sample_dir(root, "group");
    may(fchownat(root, "group", 1000, 2000, 0), "chown");
    tree_sample_file(root, "group/inside", "x");
    tree_sample_dir(root, "group/below");
    must(fchmodat(root, "group", 02775, 0), "chmod");
    tree_sample_dir(root, "default-acl");
    tree_sample_file(root, "default-acl/older", "made before the ACL");
    tree_sample_dir(root, "default-acl/older-dir");
    set_xattr(root, "default-acl", "system.posix_acl_default", acl, acl_size);
    tree_sample_file(root, "default-acl/younger", "inherits");
    set_xattr(root, "default-acl", "user.of-the-dir", "1", 1);
}

static void make_hard_links(int root)
{
    tree_sample_file(root, "one", "three names");
    must(linkat(root, "one", root, "group/two", 0), "link");
    must(linkat(root, "one", root, "default-acl/older-dir/three", 0), "link");
    must(linkat(root, "link", root, "group/link", 0), "link of a symlink");
    must(linkat(root, "fifo", root, "group/fifo", 0), "link of a FIFO");
}

static void make_flags(int root)
{
    tree_sample_file(root, "no-dump", "x");
    may(tree_sample_flags(root, "no-dump", FS_NODUMP_FL), "flags");
    tree_sample_file(root, "append", "x");
    may(tree_sample_flags(root, "append", FS_APPEND_FL), "flags");
    tree_sample_file(root, "immutable", "x");
    must(linkat(root, "immutable", root, "group/immutable", 0), "link");
    may(tree_sample_flags(root, "immutable", FS_IMMUTABLE_FL), "flags");
    tree_sample_dir(root, "immutable-dir");
    tree_sample_dir(root, "immutable-dir/below");
    tree_sample_file(root, "immutable-dir/below/file", "x");
    tree_sample_time(root, "immutable-dir", 1000000003, 3);
    may(tree_sample_flags(root, "immutable-dir", FS_IMMUTABLE_FL), "flags");
}

static void set_times(int root)
{
    static const char *const names[] = {"small", "link",          "dangling",    "fifo",
                                        "null",  "closed/inside", "socket",      "one",
                                        "group", "closed",        "default-acl", "empty-dir"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (faccessat(root, names[i], F_OK, AT_SYMLINK_NOFOLLOW) == 0)
            tree_sample_time(root, names[i], 1234567890 + (long) i, 123456789 - (long) i);
    tree_sample_time(root, "empty", -86400, 1);
}

void tree_sample_make(int dirfd, const char *name)
{
    tree_sample_dir(dirfd, name);
    int root = openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    must(root, name);
    make_plain_files(root);
    make_attributes(root);
    make_special_files(root);
    make_directories(root);
    make_hard_links(root);
    make_flags(root);
    set_times(root);
    must(fchmod(root, 02750), "root");
    may(fchown(root, 3, 4), "root");
    must(fchmod(root, 02750), "root");
    tree_sample_time(dirfd, name, 1500000000, 999999999);
    (void) close(root);
}
