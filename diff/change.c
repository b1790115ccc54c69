/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/change.h"

#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "diff/extents.h"
#include "diff/file_data.h"
#include "diff/file_flags.h"
#include "diff/xattr_set.h"
#include "tree/walk.h"

enum { BUFFER_BYTES = 128 << 10 };

void changes_init(struct changes *changes, const struct timestamp *cloned,
                  const struct cancel *cancel)
{
    *changes = (struct changes){.cloned = cloned,
                                .cancel = cancel,
                                .buffers = {mem_alloc(BUFFER_BYTES), mem_alloc(BUFFER_BYTES)}};
}

void changes_clear(struct changes *changes)
{
    for (int i = 0; i < 2; i++)
        mem_free(&changes->buffers[i]);
}

static struct timestamp change_time(const struct os_stat *stat)
{
    return (struct timestamp){.seconds = stat->ctime.tv_sec,
                              .nanos = (int32_t) stat->ctime.tv_nsec};
}

static bool same_mtime(const struct os_stat *left, const struct os_stat *right)
{
    return left->mtime.tv_sec == right->mtime.tv_sec && left->mtime.tv_nsec == right->mtime.tv_nsec;
}

bool changes_as_cloned(const struct changes *changes, const struct os_stat *right)
{
    return changes->cloned && timestamp_after(*changes->cloned, change_time(right));
}

bool changes_same_names(const struct changes *changes, const struct os_stat *left,
                        const struct os_stat *right)
{
    if (!changes->cloned || timestamp_after(change_time(right), *changes->cloned))
        return false;
    return changes_as_cloned(changes, right) || same_mtime(left, right);
}

/* True if something was done to an inode after it was cloned, or in that very moment: then equal
 * times prove nothing, since who writes can set them back. */
static bool touched_since(const struct changes *changes, const struct os_stat *right)
{
    return changes->cloned && !changes_as_cloned(changes, right);
}

static bool attributes_differ(const struct os_stat *left, const struct os_stat *right)
{
    return left->mode != right->mode || left->uid != right->uid || left->gid != right->gid ||
           left->rdev != right->rdev ||
           file_flags_carried(layer_system, left->flags ^ right->flags) != 0;
}

/* 1 if they differ */
static int compare_xattrs(const char *name, const struct change_side *left,
                          const struct change_side *right, struct error *error)
{
    owned(xattr_set_clear) struct xattr_set left_set = XATTR_SET_NULL;
    owned(xattr_set_clear) struct xattr_set right_set = XATTR_SET_NULL;
    int code = xattr_set_read(&left_set, left->dirfd, name, error);
    if (code == 0)
        code = xattr_set_read(&right_set, right->dirfd, name, error);
    if (code != 0)
        return code;
    return xattr_set_equal(&left_set, &right_set) ? 0 : 1;
}

static int compare_links(struct changes *changes, const char *name, const struct change_side *left,
                         const struct change_side *right, struct error *error)
{
    ssize_t left_length = readlinkat(left->dirfd, name, changes->buffers[0], BUFFER_BYTES);
    ssize_t right_length = readlinkat(right->dirfd, name, changes->buffers[1], BUFFER_BYTES);
    if (left_length < 0 || right_length < 0)
        return error_errno(error, "cannot read the link");
    return left_length != right_length ||
           memcmp(changes->buffers[0], changes->buffers[1], (size_t) left_length) != 0;
}

static int read_block(int fd, char *buffer, size_t size, uint64_t offset, struct error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t length = pread(fd, buffer + done, size - done, (off_t) (offset + done));
        if (length < 0 && errno == EINTR)
            continue;
        if (length < 0)
            return error_errno(error, "cannot read");
        if (length == 0)
            return error_set(error, ERROR_PRECONDITION, "became shorter while it was read");
        done += (size_t) length;
    }
    return 0;
}

/* 1 if they differ. What is a hole in both is not read. */
static int compare_data(struct changes *changes, const int fds[2], uint64_t size, bool *out_read,
                        struct error *error)
{
    for (uint64_t offset = 0; offset < size;) {
        uint64_t data = file_data_next(fds[0], offset, size);
        uint64_t other = data > offset ? file_data_next(fds[1], offset, size) : offset;
        offset = data < other ? data : other;
        size_t length = size - offset < BUFFER_BYTES ? (size_t) (size - offset) : BUFFER_BYTES;
        if (length == 0)
            return 0;
        if (cancel_requested(changes->cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        *out_read = true;
        for (int i = 0; i < 2; i++) {
            int code = read_block(fds[i], changes->buffers[i], length, offset, error);
            if (code != 0)
                return code;
        }
        if (memcmp(changes->buffers[0], changes->buffers[1], length) != 0)
            return 1;
        offset += length;
    }
    return 0;
}

/* True if the file system knows that they are equal. A clone takes the blocks of its origin after
 * it wrote out what was not there yet. */
static bool known_equal(const struct changes *changes, const int fds[2], const struct os_stat *left,
                        const struct os_stat *right)
{
    return !changes->reads_all && left->dev == right->dev &&
           extents_shared(fds[0], false, fds[1], changes_as_cloned(changes, right),
                          right->size_bytes);
}

static int compare_files(struct changes *changes, const char *name, const struct change_side *left,
                         const struct change_side *right, bool *out_read, struct error *error)
{
    owned(fd_close) int left_fd = os_open_file(left->dirfd, name);
    owned(fd_close) int right_fd = os_open_file(right->dirfd, name);
    if (left_fd < 0 || right_fd < 0)
        return walk_open_error(error);
    const int fds[2] = {left_fd, right_fd};
    if (known_equal(changes, fds, &left->stat, &right->stat))
        return 0;
    int result = compare_data(changes, fds, right->stat.size_bytes, out_read, error);
    if (result < 0)
        return result;
    int code = file_data_check(left_fd, &left->stat, error);
    if (code == 0)
        code = file_data_check(right_fd, &right->stat, error);
    return code == 0 ? result : code;
}

static int compare_content(struct changes *changes, const char *name,
                           const struct change_side *left, const struct change_side *right,
                           bool *out_read, struct error *error)
{
    if (S_ISLNK(right->stat.mode))
        return compare_links(changes, name, left, right, error);
    if (!S_ISREG(right->stat.mode) || right->stat.size_bytes == 0)
        return 0;
    return compare_files(changes, name, left, right, out_read, error);
}

int changes_find(struct changes *changes, const char *name, const struct change_side *left,
                 const struct change_side *right, bool *out_read, struct error *error)
{
    const struct os_stat *a = &left->stat;
    const struct os_stat *b = &right->stat;
    if (a->dev == b->dev && a->ino == b->ino)
        return 0;
    if (attributes_differ(a, b))
        return 1;
    int result = compare_xattrs(name, left, right, error);
    if (result != 0 || S_ISDIR(b->mode))
        return result;
    if (a->size_bytes != b->size_bytes || !same_mtime(a, b))
        return 1;
    if (b->mtime.tv_nsec != 0 && !touched_since(changes, b))
        return 0;
    return compare_content(changes, name, left, right, out_read, error);
}
