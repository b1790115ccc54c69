/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/archive.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "diff/tar_guard.h"

struct layer_archive {
    struct tar_guard guard;
    const struct layer_limits *limits;
    struct archive *reader;
    uint64_t entries;
    uint64_t size;       /* of the entry's file, holes included */
    uint64_t data_end;   /* of its last piece */
    uint64_t data_bytes; /* of its pieces */
    uint64_t map_bytes;  /* how many there must be; or none, if may_be_hole */
    bool may_be_hole;
};

static la_ssize_t read_guard(struct archive *reader, void *context, const void **out_data)
{
    struct layer_archive *archive = context;
    ssize_t got = tar_guard_read(&archive->guard, out_data);
    if (got >= 0)
        return got;
    archive_set_error(reader, EIO, "%s", archive->guard.error.message);
    return -1;
}

/* What the guard or the stream says counts; libarchive has its own words for it. */
static int reader_error(struct layer_archive *archive, struct error *error)
{
    if (archive->guard.error.code != 0) {
        if (error)
            *error = archive->guard.error;
        return archive->guard.error.code;
    }
    const char *text = archive_error_string(archive->reader);
    return error_set(error, ERROR_INVALID, "no valid archive: %s", text ? text : "malformed");
}

int layer_archive_open(struct layer_stream *stream, const struct layer_limits *limits,
                       struct layer_archive **out_archive, struct error *error)
{
    struct layer_archive *archive = mem_alloc(sizeof *archive);
    archive->limits = limits;
    archive->reader = archive_read_new();
    tar_guard_init(&archive->guard, stream, limits);
    /* The format is set last, since an option takes it back. */
    if (!archive->reader || archive_read_support_format_tar(archive->reader) != 0 ||
        archive_read_set_format_option(archive->reader, "tar", "mac-ext", NULL) != 0 ||
        archive_read_set_format(archive->reader, ARCHIVE_FORMAT_TAR) != 0 ||
        archive_read_open(archive->reader, archive, NULL, read_guard, NULL) != 0) {
        int code = reader_error(archive, error);
        layer_archive_clear(&archive);
        return code;
    }
    *out_archive = archive;
    return 0;
}

void layer_archive_clear(struct layer_archive **archive)
{
    if (!*archive)
        return;
    (void) archive_read_free((*archive)->reader);
    tar_guard_clear(&(*archive)->guard);
    mem_free(archive);
}

static bool is_in_bounds(const struct timespec *time)
{
    return time->tv_sec >= 0 && time->tv_sec < INT64_MAX / 1000000000;
}

/* containerd's times: what is before 1970 or does not fit 63 bits of nanoseconds is 1970. */
static struct timespec bound_time(struct timespec time)
{
    return is_in_bounds(&time) ? time : (struct timespec){0};
}

static struct timespec later_time(struct timespec a, struct timespec b)
{
    bool first = a.tv_sec != b.tv_sec ? a.tv_sec > b.tv_sec : a.tv_nsec > b.tv_nsec;
    return first ? a : b;
}

static enum entry_type type_of(char type, const char *name)
{
    static const enum entry_type types[] = {ENTRY_FILE,  ENTRY_HARD_LINK, ENTRY_SYMLINK, ENTRY_CHAR,
                                            ENTRY_BLOCK, ENTRY_DIR,       ENTRY_FIFO};
    size_t length = strlen(name);
    if (type == '\0') /* of the oldest archives */
        return length > 0 && name[length - 1] == '/' ? ENTRY_DIR : ENTRY_FILE;
    return types[type - '0'];
}

/* libarchive does not tell a map of one piece, all of the file, from one without any. */
static void start_data(struct layer_archive *archive, struct archive_entry *entry)
{
    bool sparse = archive->guard.pax.sparse;
    la_int64_t offset = 0;
    la_int64_t length = 0;
    archive->data_end = archive->data_bytes = 0;
    archive->map_bytes = archive->size;
    archive->may_be_hole = sparse;
    if (!sparse || archive_entry_sparse_reset(entry) == 0)
        return;
    archive->may_be_hole = false;
    archive->map_bytes = 0;
    while (archive_entry_sparse_next(entry, &offset, &length) == ARCHIVE_OK)
        archive->map_bytes += (uint64_t) length;
}

static int read_item(struct layer_archive *archive, struct archive_entry *entry,
                     struct archive_item *item, struct error *error)
{
    const struct pax *pax = &archive->guard.pax;
    const char *name = archive_entry_pathname(entry);
    uint64_t uid = (uint64_t) archive_entry_uid(entry);
    uint64_t gid = (uint64_t) archive_entry_gid(entry);
    if (!name ||
        archive_read_header_position(archive->reader) != (la_int64_t) archive->guard.position)
        return error_set(error, ERROR_INVALID,
                         "no valid archive: an entry has data it must not have");
    *item = (struct archive_item){.name = name,
                                  .type = type_of(archive->guard.type, name),
                                  .mode = archive_entry_perm(entry) & 07777,
                                  .uid = (uid_t) uid,
                                  .gid = (gid_t) gid,
                                  .xattrs = pax->xattrs,
                                  .xattr_count = pax->xattr_count,
                                  .file_flags = pax->file_flags};
    if (uid >= UINT32_MAX || gid >= UINT32_MAX)
        return error_set(error, ERROR_INVALID, "there is no owner %" PRIu64 ":%" PRIu64, uid, gid);
    struct timespec mtime = {archive_entry_mtime(entry), archive_entry_mtime_nsec(entry)};
    struct timespec atime = {archive_entry_atime(entry), archive_entry_atime_nsec(entry)};
    item->mtime = bound_time(mtime);
    item->atime = bound_time(later_time(atime, mtime)); /* in this order, as containerd does */
    item->has_birth = pax->has_birth && is_in_bounds(&pax->birth);
    item->birth = pax->birth;
    item->target = item->type == ENTRY_HARD_LINK ? archive_entry_hardlink(entry)
                   : item->type == ENTRY_SYMLINK ? archive_entry_symlink(entry)
                                                 : NULL;
    if (!item->target && (item->type == ENTRY_HARD_LINK || item->type == ENTRY_SYMLINK))
        item->target = "";
    if (item->type == ENTRY_CHAR || item->type == ENTRY_BLOCK) {
        item->major = archive_entry_rdevmajor(entry);
        item->minor = archive_entry_rdevminor(entry);
    }
    item->size = item->type == ENTRY_FILE ? (uint64_t) archive_entry_size(entry) : 0;
    archive->size = item->size;
    start_data(archive, entry);
    return 1;
}

int layer_archive_next(struct layer_archive *archive, struct archive_item *out_item,
                       struct error *error)
{
    struct archive_entry *entry = NULL;
    int got = archive_read_next_header(archive->reader, &entry);
    if (got == ARCHIVE_EOF && archive->guard.ended && archive->guard.error.code == 0)
        return 0;
    if (got != ARCHIVE_OK)
        return reader_error(archive, error);
    if (archive->limits->entries > 0 && archive->entries == archive->limits->entries)
        return error_set(error, ERROR_NO_SPACE, "the archive has more than %" PRIu64 " entries",
                         archive->limits->entries);
    archive->entries++;
    return read_item(archive, entry, out_item, error);
}

int layer_archive_data(struct layer_archive *archive, struct archive_piece *out_piece,
                       struct error *error)
{
    la_int64_t offset = 0;
    int got = archive_read_data_block(archive->reader, &out_piece->data, &out_piece->size, &offset);
    if (got == ARCHIVE_EOF && (archive->data_bytes == archive->map_bytes ||
                               (archive->data_bytes == 0 && archive->may_be_hole)))
        return 0;
    if (got != ARCHIVE_OK && got != ARCHIVE_EOF)
        return reader_error(archive, error);
    out_piece->offset = (uint64_t) offset;
    if (got == ARCHIVE_EOF || out_piece->offset < archive->data_end ||
        out_piece->offset > archive->size || out_piece->size > archive->size - out_piece->offset)
        return error_set(error, ERROR_INVALID,
                         "no valid archive: the map of a sparse file does not fit its data");
    archive->data_end = out_piece->offset + out_piece->size;
    archive->data_bytes += out_piece->size;
    return 1;
}
