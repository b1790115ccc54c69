/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/entry.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "diff/attributes.h"
#include "diff/entry_path.h"
#include "diff/whiteout.h"
#include "tree/os.h"

/* The other writers of a tree may get in our way so many times. */
enum { TRIES_MAX = 8 };

/* One entry being made. */
struct making {
    struct unpacking *unpacking;
    const struct archive_item *item;
    struct place *place;
    const char *name;
    struct place *target_place; /* of a hard link */
    const char *target_name;
    char *spelling; /* what name points to, if that is no part of the path */
    int fd;         /* of a file or directory */
};

static atomic_ulong device_count;

/* The smallest file costs a block. */
static void note_written(struct unpacking *unpacking)
{
    const struct layer_apply_result *result = &unpacking->result;
    if (unpacking->flush)
        flush_ahead_note(unpacking->flush, result->bytes + result->entries * 4096);
}

static int write_piece(struct making *making, const struct archive_piece *piece,
                       struct error *error)
{
    const struct iovec segment = {.iov_base = (void *) (uintptr_t) piece->data,
                                  .iov_len = piece->size};
    if (cancel_requested(making->unpacking->options->cancel))
        return error_set(error, ERROR_CANCELLED, "asked to stop");
    if (fault_point("apply.write") != 0 ||
        fd_write_all(making->fd, &segment, 1, piece->offset) != 0)
        return unpacking_errno(error, "cannot write the data");
    making->unpacking->result.bytes += piece->size;
    note_written(making->unpacking);
    return 0;
}

static int write_archived(struct making *making, struct layer_archive *archive, struct error *error)
{
    uint64_t written = 0;
    struct archive_piece piece = {0};
    int code = layer_archive_data(archive, &piece, error);
    for (; code == 1; code = layer_archive_data(archive, &piece, error)) {
        if (piece.size > 0)
            code = write_piece(making, &piece, error);
        if (code < 0)
            return code;
        written = piece.offset + piece.size;
    }
    if (code == 0 && written < making->item->size &&
        ftruncate(making->fd, (off_t) making->item->size) != 0)
        return unpacking_errno(error, "cannot set the size");
    return code;
}

static int write_content(struct making *making, const struct entry_content *content,
                         struct error *error)
{
    const struct archive_piece whole = {.data = content->data, .size = content->size};
    uint64_t max = making->unpacking->options->limits.bytes;
    if (max > 0 && making->item->size > max)
        return error_set(error, ERROR_NO_SPACE,
                         "the file has %" PRIu64 " bytes, more than %" PRIu64, making->item->size,
                         max);
    if (content->archive)
        return write_archived(making, content->archive, error);
    return whole.size > 0 ? write_piece(making, &whole, error) : 0;
}

static int make_node(const struct making *making, mode_t type)
{
    const struct archive_item *item = making->item;
    return mknodat(making->place->fd, making->name, type | (item->mode & 0777),
                   makedev((unsigned) item->major, (unsigned) item->minor));
}

/* Makes the entry under a name that is free: 0, or -1 and errno. */
static int make(struct making *making)
{
    int dirfd = making->place->fd;
    const char *name = making->name;
    mode_t mode = making->item->mode;
    switch (making->item->type) {
    case ENTRY_FILE:
        making->fd =
            openat(dirfd, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode & 0777);
        return making->fd < 0 ? -1 : 0;
    case ENTRY_DIR:
        if (mkdirat(dirfd, name, mode & 01777) != 0)
            return -1;
        making->fd = os_open_dir(dirfd, name);
        return making->fd < 0 ? -1 : 0;
    case ENTRY_HARD_LINK:
        return linkat(making->target_place->fd, making->target_name, dirfd, name, 0);
    case ENTRY_SYMLINK:
        return symlinkat(making->item->target, dirfd, name);
    case ENTRY_CHAR:
        return make_node(making, S_IFCHR);
    case ENTRY_BLOCK:
        return make_node(making, S_IFBLK);
    case ENTRY_FIFO:
        return mknodat(dirfd, name, S_IFIFO | (mode & 0777), 0);
    }
    errno = EINVAL;
    return -1;
}

/* A name that finds an entry of another spelling: 1 if it is as good as the same name, 0 if it is
 * another one, to be replaced, or an error code. */
static int settle_spelling(struct making *making, const char *spelling, struct error *error)
{
    struct unpacking *unpacking = making->unpacking;
    bool made_here = path_set_has(&unpacking->unpacked,
                                  entry_path_id(making->place->id, spelling, strlen(spelling)));
    owned(mem_free) char *path = place_join(making->place, making->name);
    owned(mem_free) char *spelled_path = place_join(making->place, spelling);
    switch (collision_decide(spelling, made_here, unpacking->options->names.allowed)) {
    case COLLISION_REFUSED:
        return collision_refuse(path, spelled_path, error);
    case COLLISION_REPLACES:
        return collisions_note(&unpacking->collisions, path, spelled_path,
                               unpacking->options->limits.header_bytes, error);
    case COLLISION_ALLOWED:
        collision_log(path, spelled_path);
        return 1;
    case COLLISION_NONE:
        break;
    }
    return 1;
}

/* A directory that is merged keeps its spelling. */
static void take_spelling(struct making *making, char **spelling)
{
    if (!*spelling)
        return;
    mem_free(&making->spelling);
    making->name = making->spelling = mem_take(spelling);
}

/* What has the name: a directory that stays for an entry that is one (1), or it is removed (0). */
static int make_room(struct making *making, struct error *error)
{
    struct os_stat found;
    owned(mem_free) char *spelling = NULL;
    int code = collisions_find(&making->unpacking->collisions, making->place->fd, making->name,
                               &spelling, error);
    bool same = code == 0;
    if (code > 0) {
        code = settle_spelling(making, spelling, error);
        same = code > 0;
    }
    if (code < 0)
        return code;
    if (same && making->item->type == ENTRY_DIR &&
        os_stat_at(making->place->fd, making->name, &found) == 0 && S_ISDIR(found.mode)) {
        making->fd = os_open_dir(making->place->fd, making->name);
        if (making->fd >= 0)
            take_spelling(making, &spelling);
        if (making->fd >= 0)
            return 1;
        if (errno == EXDEV)
            return error_set(error, ERROR_PRECONDITION, "something is mounted there");
    }
    if (spelling)
        making->unpacking->touched.lost = true; /* layers know what is there by its own spelling */
    return unpacking_remove(making->unpacking, making->place, making->name, error);
}

/* A directory that was open for us may have been removed by somebody else. */
static int find_parent_again(struct making *making, const char *path, struct error *error)
{
    places_forget(making->unpacking->places);
    return places_find(making->unpacking->places, path, entry_path_parent_length(path), true,
                       &making->place, error);
}

/* The image does not say that it has one, and its own comes later. A hard link is no new inode. */
static int drop_inherited_acl(const struct making *making, struct error *error)
{
    if (making->item->type == ENTRY_HARD_LINK)
        return 0;
    owned(fd_close) int handle =
        making->fd < 0 ? os_open_handle(making->place->fd, making->name) : -1;
    int fd = making->fd >= 0 ? making->fd : handle;
    if (fd < 0 && errno == EOPNOTSUPP)
        return 0;
    return fd >= 0 && os_remove_acl(fd) == 0
               ? 0
               : unpacking_errno(error, "cannot remove the ACL that it inherited");
}

static int making_error(const struct making *making, struct error *error)
{
    size_t length = making->item->type == ENTRY_SYMLINK ? strlen(making->item->target) : 0;
    if (errno == ENAMETOOLONG && length >= PATH_MAX)
        return error_set(error, ERROR_INVALID,
                         "the link leads to a path of %zu bytes, more than the %d that the system "
                         "takes",
                         length, PATH_MAX - 1);
    return unpacking_errno(error, "cannot make it");
}

static int make_in_place(struct making *making, const char *path, struct error *error)
{
    for (int tries = 0; tries < TRIES_MAX; tries++) {
        making->place->changed = true;
        if (fault_point("apply.make") == 0 && make(making) == 0)
            return making->place->has_acl ? drop_inherited_acl(making, error) : 0;
        bool is_link = making->item->type == ENTRY_HARD_LINK || making->item->type == ENTRY_SYMLINK;
        int code = 0;
        if (errno == EEXIST)
            code = make_room(making, error);
        else if (errno == ENOENT && !is_link)
            code = find_parent_again(making, path, error);
        else
            return making_error(making, error);
        if (code != 0)
            return code < 0 ? code : 0;
    }
    return error_set(error, ERROR_PRECONDITION, "somebody else keeps changing it");
}

/* What has another spelling is another file. */
static int check_target(const struct making *making, struct error *error)
{
    const struct place *place = making->target_place;
    owned(mem_free) char *spelling = NULL;
    int code = collisions_find(&making->unpacking->collisions, place->fd, making->target_name,
                               &spelling, error);
    if (code <= 0)
        return code;
    owned(mem_free) char *path = place_join(place, making->target_name);
    owned(mem_free) char *spelled_path = place_join(place, spelling);
    if (!making->unpacking->options->names.allowed)
        return collision_refuse(path, spelled_path, error);
    collision_log(path, spelled_path);
    making->unpacking->touched.lost = true;
    return 0;
}

/* The target of a hard link lies below the root too, and its last component is not followed. */
static int find_target(struct making *making, char *target, struct error *error)
{
    struct os_stat found = {0};
    if (entry_path_clean(target, target) == 0)
        return error_set(error, ERROR_INVALID, "a hard link to the root");
    if (entry_path_is_special(layer_system, target))
        return error_set(error, ERROR_INVALID, "a hard link to what is no name on this system");
    int code = places_find(making->unpacking->places, target, entry_path_parent_length(target),
                           false, &making->target_place, error);
    making->target_name = entry_path_base(target);
    if (code == 0)
        code = check_target(making, error);
    if (code == ERROR_NOT_FOUND ||
        (code == 0 && os_stat_at(making->target_place->fd, making->target_name, &found) != 0 &&
         errno == ENOENT))
        return error_set(error, ERROR_INVALID, "the target of the hard link is missing");
    if (code == 0 && S_ISDIR(found.mode))
        return error_set(error, ERROR_INVALID, "a hard link to a directory");
    if (code == 0)
        touched_link(&making->unpacking->touched, found.ino, found.nlink);
    return code;
}

static bool is_device(const struct archive_item *item)
{
    return item->type == ENTRY_CHAR || item->type == ENTRY_BLOCK;
}

static int check_device(const struct archive_item *item, struct error *error)
{
    if (!device_fits(&device_bits, item->major, item->minor))
        return error_set(error, ERROR_INVALID,
                         "there is no device %" PRIu64 ":%" PRIu64
                         ": this system has %u bits for the first number and %u for the second",
                         item->major, item->minor, device_bits.major, device_bits.minor);
    if (!os_in_user_namespace())
        return 0;
    if (log_count(&device_count))
        log_warn("devices of a layer left out: they cannot be made in a user namespace (logged "
                 "once)");
    return 1;
}

static int finish(struct making *making, const struct entry_content *content, struct error *error)
{
    const struct archive_item *item = making->item;
    struct attributes_target target = {
        .fd = making->fd, .dirfd = making->place->fd, .name = making->name};
    int code = item->type == ENTRY_FILE ? write_content(making, content, error) : 0;
    if (code == 0)
        code = attributes_set(&target, item, error);
    if (code != 0)
        return code;
    size_t length = strlen(making->name);
    touched_note(&making->unpacking->touched, making->place->path, making->name, false);
    if (making->target_place) /* it has the attributes as well, and keeps them without the link; a
                                 layer puts such a file in the place of that below */
        touched_note(&making->unpacking->touched, making->target_place->path, making->target_name,
                     true);
    path_set_add(&making->unpacking->unpacked,
                 entry_path_id(making->place->id, making->name, length));
    if (item->type != ENTRY_DIR)
        return 0;
    const struct timespec times[2] = {item->atime, item->mtime};
    return places_put(making->unpacking->places, making->place, making->name, fd_take(&making->fd),
                      times, error);
}

static void making_clear(struct making *making)
{
    fd_close(&making->fd);
    mem_free(&making->spelling);
}

int entry_unpack(struct unpacking *unpacking, const char *path, const struct archive_item *item,
                 const struct entry_content *content, struct error *error)
{
    owned(making_clear) struct making making = {
        .unpacking = unpacking, .item = item, .name = entry_path_base(path), .fd = -1};
    owned(mem_free) char *target = item->type == ENTRY_HARD_LINK ? mem_strdup(item->target) : NULL;
    if (!*path)
        return 0;
    if (entry_path_is_special(layer_system, path))
        return error_set(error, ERROR_INVALID, "this system has no such name");
    bool removes = whiteout_is(making.name);
    int code = 0;
    if (target && !removes)
        code = find_target(&making, target, error);
    if (code == 0)
        code = places_find(unpacking->places, path, entry_path_parent_length(path), true,
                           &making.place, error);
    if (code != 0)
        return code;
    if (removes)
        return whiteout_apply(unpacking, making.place, making.name, error);
    code = is_device(item) ? check_device(item, error) : 0;
    if (code == 0)
        code = make_in_place(&making, path, error);
    if (code != 0)
        return code < 0 ? code : 0;
    return finish(&making, content, error);
}
