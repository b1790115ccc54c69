/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/layer_writer.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/stat.h"
#include "diff/file_data.h"
#include "diff/file_flags.h"

void layer_inode_clear(struct layer_inode *inode)
{
    xattr_set_clear(&inode->xattrs);
}

static int wrap_entry(const struct walk_dir *dir, const char *name, int code, struct error *error)
{
    owned(mem_free) char *path = walk_dir_describe(dir, name);
    (void) error_wrap(error, "%s", path);
    return code;
}

static enum tar_type type_of(mode_t mode)
{
    switch (mode & S_IFMT) {
    case S_IFDIR:
        return TAR_DIR;
    case S_IFLNK:
        return TAR_SYMLINK;
    case S_IFCHR:
        return TAR_CHAR_DEVICE;
    case S_IFBLK:
        return TAR_BLOCK_DEVICE;
    case S_IFIFO:
        return TAR_FIFO;
    default:
        return TAR_FILE;
    }
}

/* Whole seconds, rounded down before 1970 too. */
static int64_t mtime_of(const struct layer_writer *writer, const struct os_stat *stat)
{
    int64_t seconds = stat->mtime.tv_sec;
    return writer->has_epoch && seconds > writer->epoch_seconds ? writer->epoch_seconds : seconds;
}

/* All but the names. A hard link has the attributes of its inode, device number included, since
 * whoever applies it sets them once more. */
static struct tar_entry describe(const struct layer_writer *writer, const struct layer_inode *inode,
                                 enum tar_type type)
{
    const struct os_stat *stat = &inode->stat;
    bool is_device = S_ISCHR(stat->mode) || S_ISBLK(stat->mode);
    return (struct tar_entry){
        .type = type,
        .target = "",
        .mode = stat->mode,
        .uid = stat->uid,
        .gid = stat->gid,
        .size = type == TAR_FILE ? stat->size_bytes : 0,
        .mtime_seconds = mtime_of(writer, stat),
        .device_major = is_device ? major(stat->rdev) : 0,
        .device_minor = is_device ? minor(stat->rdev) : 0,
        .xattrs = &inode->xattrs,
        .file_flags = file_flags_carried(layer_system, stat->flags),
    };
}

static int begin(struct layer_writer *writer, const struct tar_entry *entry, struct error *error)
{
    if (cancel_requested(writer->cancel))
        return error_set(error, ERROR_CANCELLED, "asked to stop");
    writer->entries++;
    return tar_writer_begin(&writer->tar, entry, error);
}

static int write_opened_dir(struct layer_writer *writer, struct walk_dir *dir, struct error *error)
{
    int fd = dir->fds[0];
    owned(layer_inode_clear) struct layer_inode inode = {.xattrs = XATTR_SET_NULL};
    if (os_stat(fd, &inode.stat) != 0)
        return error_errno(error, "cannot read the attributes");
    int code = xattr_set_read(&inode.xattrs, fd, "", error);
    if (code != 0)
        return code;
    struct tar_entry entry = describe(writer, &inode, TAR_DIR);
    owned(mem_free) char *path = walk_dir_path(dir, "");
    owned(mem_free) char *with_slash = mem_printf("%s/", path);
    entry.path = with_slash;
    return begin(writer, &entry, error);
}

static int write_dir(struct layer_writer *writer, struct walk_dir *dir, struct error *error)
{
    int code = pair_walk_use(writer->walk, dir, error);
    if (code != 0)
        return code;
    code = write_opened_dir(writer, dir, error);
    pair_walk_unuse(writer->walk, dir);
    if (code != 0)
        return wrap_entry(dir, "", code, error);
    atomic_store(&dir->marked, true);
    return 0;
}

/* One that is written has all above it written. */
static bool is_missing(const struct walk_dir *dir)
{
    return dir->parent && !atomic_load(&dir->marked);
}

int layer_writer_dirs(struct layer_writer *writer, struct walk_dir *dir, struct error *error)
{
    size_t count = 0;
    for (struct walk_dir *at = dir; is_missing(at); at = at->parent)
        count++;
    if (count == 0)
        return 0;
    owned(mem_free) struct walk_dir **missing = mem_alloc_array(count, sizeof *missing);
    size_t first = count;
    for (struct walk_dir *at = dir; first > 0; at = at->parent)
        missing[--first] = at;
    int code = 0;
    for (size_t i = 0; i < count && code == 0; i++)
        code = write_dir(writer, missing[i], error);
    return code;
}

static int read_room(struct layer_writer *writer, int fd, uint64_t offset, uint64_t end,
                     size_t *out_length, struct error *error)
{
    char *room = NULL;
    size_t size = 0;
    int code = tar_writer_room(&writer->tar, &room, &size, error);
    if (code != 0)
        return code;
    if (size > end - offset)
        size = (size_t) (end - offset);
    ssize_t length = pread(fd, room, size, (off_t) offset);
    if (length < 0 && errno != EINTR)
        return error_errno(error, "cannot read");
    if (length == 0)
        return error_set(error, ERROR_PRECONDITION, "became shorter while it was read");
    *out_length = length > 0 ? (size_t) length : 0;
    tar_writer_filled(&writer->tar, *out_length);
    return 0;
}

/* Reads what is between offset and end, where no hole is. */
static int write_range(struct layer_writer *writer, int fd, uint64_t offset, uint64_t end,
                       struct error *error)
{
    while (offset < end) {
        size_t length = 0;
        if (cancel_requested(writer->cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        int code = read_room(writer, fd, offset, end, &length, error);
        if (code != 0)
            return code;
        offset += length;
    }
    return 0;
}

static int write_zeros(struct layer_writer *writer, uint64_t size, struct error *error)
{
    enum { STEP = 1 << 20 };
    for (uint64_t done = 0; done < size; done += STEP) {
        if (cancel_requested(writer->cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        int code = tar_writer_zeros(&writer->tar, size - done < STEP ? size - done : STEP, error);
        if (code != 0)
            return code;
    }
    return 0;
}

/* Holes are written as the zeros that they read as, and not read. */
static int write_data(struct layer_writer *writer, int fd, uint64_t size, bool *read,
                      struct error *error)
{
    for (uint64_t offset = 0; offset < size;) {
        uint64_t data = file_data_next(fd, offset, size);
        int code = write_zeros(writer, data - offset, error);
        if (code != 0 || data == size)
            return code;
        *read = true;
        offset = file_data_end(fd, data, size);
        code = write_range(writer, fd, data, offset, error);
        if (code != 0)
            return code;
    }
    return 0;
}

static int write_file(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                      const struct tar_entry *entry, const struct os_stat *stat, bool *read,
                      struct error *error)
{
    bool was_read = *read;
    owned(fd_close) int fd = -1;
    int code = stat->size_bytes > 0 ? file_data_open(dir->fds[0], name, stat, &fd, error) : 0;
    if (code == 0)
        code = begin(writer, entry, error);
    if (code != 0 || fd < 0)
        return code;
    code = write_data(writer, fd, stat->size_bytes, read, error);
    writer->files_read += *read && !was_read ? 1 : 0;
    return code == 0 ? file_data_check(fd, stat, error) : code;
}

static int write_symlink(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                         struct tar_entry entry, struct error *error)
{
    char target[PATH_MAX + 1];
    ssize_t length = readlinkat(dir->fds[0], name, target, sizeof target - 1);
    if (length < 0)
        return error_errno(error, "cannot read the link");
    target[length] = '\0';
    entry.target = target;
    return begin(writer, &entry, error);
}

int layer_writer_entry(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                       const struct layer_inode *inode, bool *read, struct error *error)
{
    int code = layer_writer_dirs(writer, dir, error);
    if (code != 0)
        return code;
    owned(mem_free) char *path = walk_dir_path(dir, name);
    struct tar_entry entry = describe(writer, inode, type_of(inode->stat.mode));
    entry.path = path;
    if (entry.type == TAR_FILE)
        code = write_file(writer, dir, name, &entry, &inode->stat, read, error);
    else if (entry.type == TAR_SYMLINK)
        code = write_symlink(writer, dir, name, entry, error);
    else
        code = begin(writer, &entry, error);
    return code == 0 ? 0 : wrap_entry(dir, name, code, error);
}

int layer_writer_link(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                      const struct layer_inode *inode, const char *target, struct error *error)
{
    int code = layer_writer_dirs(writer, dir, error);
    if (code != 0)
        return code;
    owned(mem_free) char *path = walk_dir_path(dir, name);
    struct tar_entry entry = describe(writer, inode, TAR_HARD_LINK);
    entry.path = path;
    entry.target = target;
    code = begin(writer, &entry, error);
    return code == 0 ? 0 : wrap_entry(dir, name, code, error);
}

int layer_writer_whiteout(struct layer_writer *writer, struct walk_dir *dir, const char *name,
                          struct error *error)
{
    int code = layer_writer_dirs(writer, dir, error);
    if (code != 0)
        return code;
    owned(mem_free) char *whiteout = mem_printf(".wh.%s", name);
    owned(mem_free) char *path = walk_dir_path(dir, whiteout);
    struct tar_entry entry = {.type = TAR_FILE, .path = path, .target = ""};
    code = begin(writer, &entry, error);
    return code == 0 ? 0 : wrap_entry(dir, name, code, error);
}
