/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/darwin/internal.h"

/*
 * macOS has no namespaces. A name that Linux takes on an inode is stored as it is, so that other
 * programs find it; all others are stored behind a prefix of ours.
 */

enum {
    NAME_BYTES = 127,
    LIST_BYTES = 65536,
    NO_FOLLOW = 0x1,
    CREATE = 0x2,
    REPLACE = 0x4,
    SHOW_COMPRESSION = 0x20,
    FINDER_INFO_BYTES = 32,
};

static const char provenance[] = "com.apple.provenance";
static const char finder_info[] = "com.apple.FinderInfo";
static const char resource_fork[] = "com.apple.ResourceFork";

struct stored_name {
    char text[sizeof OWN_XATTR + XATTR_NAME_MAX];
};

static bool starts_with(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static bool is_own(const char *name)
{
    return starts_with(name, OWN_SPACE);
}

/* Whether Linux may take the name as it is. */
static bool has_namespace(const char *name)
{
    return !is_own(name) &&
           (starts_with(name, "user.") || starts_with(name, "trusted.") ||
            starts_with(name, "security.") || starts_with(name, "system.posix_acl_"));
}

static struct stored_name stored_name(const char *name)
{
    struct stored_name stored;
    (void) snprintf(stored.text, sizeof stored.text, OWN_XATTR "%s", name);
    return stored;
}

static int refuse(int error)
{
    errno = error;
    return -1;
}

static int check_inode(int fd)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return -1;
    return S_ISCHR(found.st_mode) || S_ISBLK(found.st_mode) ? refuse(EPERM) : 0;
}

static int check(int fd, const char *name, uint32_t position, int options)
{
    if (options & ~(CREATE | REPLACE | SHOW_COMPRESSION))
        return refuse(EINVAL);
    if (position != 0 && strcmp(name, resource_fork) != 0)
        return refuse(EINVAL);
    if (strlen(name) > (darwin_has_loss(LOSS_LENGTHS) ? NAME_BYTES : XATTR_NAME_MAX - 20))
        return refuse(ENAMETOOLONG);
    if (name[0] == '\0' || !text_is_utf8(name))
        return refuse(EINVAL);
    if (starts_with(name, "com.apple.system."))
        return refuse(EPERM);
    return check_inode(fd);
}

static ssize_t get_stored(const struct proc_path *path, const char *name, void *value, size_t size)
{
    struct stored_name stored = stored_name(name);
    ssize_t result = -1;
    errno = ENODATA;
    if (has_namespace(name))
        result = proc_get(path, name, value, size);
    if (result < 0 && (errno == ENODATA || errno == EOPNOTSUPP || errno == EPERM))
        result = proc_get(path, stored.text, value, size);
    if (result < 0 && (errno == ENODATA || errno == EPERM))
        errno = DARWIN_ENOATTR;
    if (result < 0 && errno == EOPNOTSUPP)
        errno = DARWIN_ENOTSUP;
    return result;
}

static ssize_t hand_out(const void *all, size_t length, void *value, size_t size)
{
    if (size == 0)
        return (ssize_t) length;
    if (size < length)
        return refuse(ERANGE);
    memcpy(value, all, length);
    return (ssize_t) length;
}

static ssize_t get_provenance(int fd, void *value, size_t size)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return -1;
    return hand_out(&found.st_ino, sizeof found.st_ino, value, size);
}

/* A resource fork alone is read in parts, as far as the buffer goes. */
static ssize_t get_fork(const struct proc_path *path, void *value, size_t size, size_t position)
{
    char *all = malloc(XATTR_SIZE_MAX);
    if (!all)
        return -1;
    ssize_t length = get_stored(path, resource_fork, all, XATTR_SIZE_MAX);
    if (length >= 0 && (size_t) length < position)
        position = (size_t) length;
    if (length >= 0)
        length -= (ssize_t) position;
    if (length >= 0 && size > 0) {
        length = (size_t) length < size ? length : (ssize_t) size;
        memcpy(value, all + position, (size_t) length);
    }
    int saved = errno;
    free(all);
    errno = saved;
    return length;
}

ssize_t darwin_fgetxattr(int fd, const char *name, void *value, size_t size, uint32_t position,
                         int options)
{
    struct proc_path path = proc_path(fd);
    if (check(fd, name, position, options) != 0)
        return -1;
    if (strcmp(name, provenance) == 0 && darwin_has_loss(LOSS_PROVENANCE))
        return get_provenance(fd, value, size);
    if (strcmp(name, resource_fork) == 0)
        return get_fork(&path, value, size, position);
    return get_stored(&path, name, value, size);
}

static bool is_zero(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        if (bytes[i] != 0)
            return false;
    return true;
}

int darwin_fremovexattr(int fd, const char *name, int options)
{
    struct proc_path path = proc_path(fd);
    struct stored_name stored = stored_name(name);
    if (check(fd, name, 0, options) != 0)
        return -1;
    bool removed = has_namespace(name) && proc_remove(&path, name) == 0;
    removed |= proc_remove(&path, stored.text) == 0;
    if (!removed && (errno == ENODATA || errno == EOPNOTSUPP))
        errno = DARWIN_ENOATTR;
    return removed ? 0 : -1;
}

static int set_stored(const struct proc_path *path, const char *name, const void *value,
                      size_t size)
{
    struct stored_name stored = stored_name(name);
    if (has_namespace(name) && proc_set(path, name, value, size, 0) == 0)
        return 0;
    if (has_namespace(name) && errno != EOPNOTSUPP && errno != EPERM && errno != EINVAL)
        return -1;
    if (proc_set(path, stored.text, value, size, 0) == 0)
        return 0;
    errno = errno == EOPNOTSUPP ? DARWIN_ENOTSUP : errno;
    return -1;
}

static int check_existence(const struct proc_path *path, const char *name, int options)
{
    bool exists = get_stored(path, name, NULL, 0) >= 0;
    if ((options & CREATE) && exists)
        return refuse(EEXIST);
    return (options & REPLACE) && !exists ? refuse(DARWIN_ENOATTR) : 0;
}

int darwin_fsetxattr(int fd, const char *name, const void *value, size_t size, uint32_t position,
                     int options)
{
    struct proc_path path = proc_path(fd);
    if (check(fd, name, position, options) != 0)
        return -1;
    if (strcmp(name, provenance) == 0 || position != 0)
        return refuse(EPERM);
    if (strcmp(name, finder_info) == 0 && size != FINDER_INFO_BYTES)
        return refuse(ERANGE);
    if ((options & (CREATE | REPLACE)) && check_existence(&path, name, options) != 0)
        return -1;
    if (strcmp(name, finder_info) == 0 && is_zero(value, size)) {
        int removed = darwin_fremovexattr(fd, name, 0);
        return removed == 0 || errno == DARWIN_ENOATTR ? 0 : -1;
    }
    return set_stored(&path, name, value, size);
}

static size_t add_name(char *list, size_t used, const char *name)
{
    size_t size = strlen(name) + 1;
    memcpy(list + used, name, size);
    return used + size;
}

/* Makes the names that callers see of those that Linux has. */
static size_t translate(const char *raw, size_t length, char *list)
{
    size_t used = 0;
    for (const char *name = raw; name < raw + length; name += strlen(name) + 1) {
        if (starts_with(name, OWN_XATTR))
            used = add_name(list, used, name + strlen(OWN_XATTR));
        else if (!is_own(name))
            used = add_name(list, used, name);
    }
    return used;
}

ssize_t darwin_flistxattr(int fd, char *names, size_t size, int options)
{
    struct proc_path path = proc_path(fd);
    if (options & ~SHOW_COMPRESSION)
        return refuse(EINVAL);
    if (check_inode(fd) != 0)
        return -1;
    char *raw = malloc(2 * LIST_BYTES + sizeof provenance);
    if (!raw)
        return -1;
    char *list = raw + LIST_BYTES;
    ssize_t length = proc_list(&path, raw, LIST_BYTES);
    size_t used = 0;
    if (length < 0 && errno == EOPNOTSUPP)
        length = 0;
    if (length >= 0)
        used = translate(raw, (size_t) length, list);
    if (length >= 0 && darwin_has_loss(LOSS_PROVENANCE))
        used = add_name(list, used, provenance);
    ssize_t result = length < 0 ? -1 : hand_out(list, used, names, size);
    int saved = errno;
    free(raw);
    errno = saved;
    return result;
}

static int copy_one(const struct proc_path *from, const struct proc_path *to, const char *name)
{
    char *value = malloc(XATTR_SIZE_MAX);
    if (!value)
        return -1;
    ssize_t size = proc_get(from, name, value, XATTR_SIZE_MAX);
    int result = size < 0 ? -1 : proc_set(to, name, value, (size_t) size, 0);
    int saved = errno;
    free(value);
    errno = saved;
    return result;
}

int xattrs_copy(int from_fd, int to_fd)
{
    struct proc_path from = proc_path(from_fd);
    struct proc_path to = proc_path(to_fd);
    char *names = malloc(LIST_BYTES);
    if (!names)
        return -1;
    ssize_t length = proc_list(&from, names, LIST_BYTES);
    int result = length >= 0 || errno == EOPNOTSUPP ? 0 : -1;
    for (char *name = names; result == 0 && name < names + length; name += strlen(name) + 1)
        if (!is_own(name) || starts_with(name, OWN_XATTR))
            result = copy_one(&from, &to, name);
    int saved = errno;
    free(names);
    errno = saved;
    return result;
}
