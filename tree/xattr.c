/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/xattr.h"

#include <errno.h>
#include <limits.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "tree/os.h"

enum { LIST_MAX = 65536, VALUE_MAX = 65536, FORK_MAX = 64 << 20 };

static atomic_ulong unsupported_count;

static const char *names_text(const struct xattr_names *names)
{
    return names->heap ? names->heap : names->fixed;
}

/* XFS lists its own copy of an ACL beside system.posix_acl_*; it follows the other. */
static bool is_shadow(const char *name)
{
    return strncmp(name, "trusted.SGI_ACL_", 16) == 0;
}

/* The first name, or the one after name; NULL at the end. */
static const char *next_name(const struct xattr_names *names, const char *name)
{
    const char *end = names_text(names) + names->length;
    const char *next = name ? name + strlen(name) + 1 : names_text(names);
    while (next < end && is_shadow(next))
        next += strlen(next) + 1;
    return next < end ? next : NULL;
}

int xattr_names_read(struct xattr_names *names, int fd, struct error *error)
{
    names->heap = NULL;
    names->length = 0;
    ssize_t length = os_xattr_list(fd, names->fixed, sizeof names->fixed);
    if (length < 0 && errno == ERANGE) {
        names->heap = mem_alloc(LIST_MAX);
        length = os_xattr_list(fd, names->heap, LIST_MAX);
    }
    if (length < 0 && errno != EOPNOTSUPP) {
        xattr_names_clear(names);
        return error_errno(error, "cannot list the extended attributes");
    }
    names->length = length < 0 ? 0 : (size_t) length;
    return 0;
}

void xattr_names_clear(struct xattr_names *names)
{
    mem_free(&names->heap);
    names->length = 0;
}

static int set_value(int fd, const char *name, const char *value, size_t size, struct error *error)
{
    if (os_xattr_set(fd, name, value, size) == 0)
        return 0;
    if (errno != EOPNOTSUPP)
        return error_errno(error, "cannot set the extended attribute %s", name);
    if (log_count(&unsupported_count))
        log_warn("extended attribute %s left out: the target's file system does not support it "
                 "(logged once)",
                 name);
    return 0;
}

/* Reads a value into *value, which has room for *room bytes and is made bigger for a resource fork
 * (macOS), the only one that may have more. As os_xattr_get. */
static ssize_t read_value(int fd, const char *name, char **value, size_t *room)
{
    ssize_t size = os_xattr_get(fd, name, *value, *room);
    if (size >= 0 || errno != ERANGE)
        return size;
    size = os_xattr_get(fd, name, NULL, 0);
    if (size < 0)
        return size;
    if (size > FORK_MAX) {
        errno = E2BIG;
        return -1;
    }
    *room = (size_t) size + VALUE_MAX; /* it may grow meanwhile */
    *value = mem_resize(*value, *room, 1);
    return os_xattr_get(fd, name, *value, *room);
}

int xattr_copy(const struct xattr_names *names, int source_fd, int target_fd, struct error *error)
{
    if (names->length == 0)
        return 0;
    size_t room = VALUE_MAX;
    owned(mem_free) char *value = mem_alloc(room);
    for (const char *name = next_name(names, NULL); name; name = next_name(names, name)) {
        ssize_t size = read_value(source_fd, name, &value, &room);
        if (size < 0 && errno == ENODATA)
            continue; /* removed meanwhile */
        if (size < 0)
            return error_errno(error, "cannot read the extended attribute %s", name);
        int code = set_value(target_fd, name, value, (size_t) size, error);
        if (code != 0)
            return code;
    }
    return 0;
}

static bool has_name(const struct xattr_names *names, const char *wanted)
{
    const char *name = next_name(names, NULL);
    while (name && strcmp(name, wanted) != 0)
        name = next_name(names, name);
    return name != NULL;
}

/* What the system gives to each inode cannot be removed: a label of SELinux, say. */
static bool stays(const char *name, int sys)
{
    bool is_systems = strncmp(name, "security.", 9) == 0 && (sys == EPERM || sys == EACCES);
    return is_systems || sys == ENODATA || sys == EOPNOTSUPP;
}

static int remove_others(const struct xattr_names *kept, int fd, struct error *error)
{
    owned(xattr_names_clear) struct xattr_names names = {0};
    int code = xattr_names_read(&names, fd, error);
    if (code != 0)
        return code;
    for (const char *name = next_name(&names, NULL); name; name = next_name(&names, name))
        if (!has_name(kept, name) && os_xattr_remove(fd, name) != 0 && !stays(name, errno))
            return error_errno(error, "cannot remove the extended attribute %s", name);
    return 0;
}

int xattr_remove_others(int source_fd, int target_fd, struct error *error)
{
    owned(xattr_names_clear) struct xattr_names kept = {0};
    int code = source_fd < 0 ? 0 : xattr_names_read(&kept, source_fd, error);
    return code == 0 ? remove_others(&kept, target_fd, error) : code;
}

/* True if attribute name has the same value on both. */
static bool value_equal(int a_fd, int b_fd, const char *name)
{
    size_t a_room = VALUE_MAX;
    size_t b_room = VALUE_MAX;
    owned(mem_free) char *a = mem_alloc(a_room);
    owned(mem_free) char *b = mem_alloc(b_room);
    ssize_t a_size = read_value(a_fd, name, &a, &a_room);
    ssize_t b_size = read_value(b_fd, name, &b, &b_room);
    return a_size >= 0 && a_size == b_size && memcmp(a, b, (size_t) a_size) == 0;
}

/* The first of names whose value differs, or NULL. */
static const char *find_difference(const struct xattr_names *names, int a_fd, int b_fd)
{
    const char *name = next_name(names, NULL);
    while (name && value_equal(a_fd, b_fd, name))
        name = next_name(names, name);
    return name;
}

int xattr_equal(int a_fd, int b_fd, char **out_name, struct error *error)
{
    owned(xattr_names_clear) struct xattr_names a = {0};
    owned(xattr_names_clear) struct xattr_names b = {0};
    int code = xattr_names_read(&a, a_fd, error);
    if (code == 0)
        code = xattr_names_read(&b, b_fd, error);
    if (code != 0)
        return code;
    const char *name = find_difference(&a, a_fd, b_fd);
    if (!name)
        name = find_difference(&b, a_fd, b_fd);
    if (!name)
        return 1;
    *out_name = mem_strdup(name);
    return 0;
}

int xattr_copy_named(int source_fd, int dirfd, const char *name, struct error *error)
{
    owned(xattr_names_clear) struct xattr_names names = {0};
    int code = xattr_names_read(&names, source_fd, error);
    if (code != 0 || names.length == 0)
        return code;
    owned(fd_close) int fd = os_open_handle(dirfd, name);
    if (fd < 0)
        return error_errno(error, "cannot open the clone");
    return xattr_copy(&names, source_fd, fd, error);
}
