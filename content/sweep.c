/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/id_list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "content/internal.h"

/* The next writer opens the file for writing; a kill amid a commit left it read-only. */
static void make_writable(int dirfd, const char *name, const struct stat *file)
{
    if ((file->st_mode & 0200) == 0 && fchmodat(dirfd, name, 0600, 0) != 0)
        log_warn("cannot make the data of ingest %s writable: errno %d", name, errno);
}

/* An ingest of an earlier run, whose file is there. */
static void restore(struct content *content, const struct ingest_record *record,
                    const struct stat *file)
{
    struct ingest *ingest = ingest_new(content, record->id, record->ref);
    mem_free(&ingest->expected);
    ingest->expected = mem_strdup(record->expected);
    ingest->total = record->total;
    ingest->inode = file->st_ino;
    ingest->started = record->started;
    ingest->offset = (uint64_t) file->st_size;
    ingest->updated = (struct timestamp){.seconds = file->st_mtim.tv_sec,
                                         .nanos = (int32_t) file->st_mtim.tv_nsec};
    /* Time stamps of files lag behind the clock by some milliseconds. */
    if (timestamp_after(ingest->started, ingest->updated))
        ingest->updated = ingest->started;
    ingest_table_add(&content->ingests, ingest);
}

struct ingest_sweep {
    struct id_list found;   /* ids of ingests that are whole */
    struct id_list missing; /* ids of records without file */
};

static void look_at(struct content *content, const struct ingest_record *record,
                    struct ingest_sweep *sweep)
{
    char name[ID_NAME_SIZE];
    struct stat file;
    id_name(record->id, name);
    bool there = fstatat(content->root->ingest_fd, name, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
                 S_ISREG(file.st_mode);
    if (there && !ingest_table_find(&content->ingests, record->ref)) {
        make_writable(content->root->ingest_fd, name, &file);
        restore(content, record, &file);
        id_list_add(&sweep->found, record->id);
    } else {
        id_list_add(&sweep->missing, record->id);
    }
}

static int read_records(struct content *content, struct ingest_sweep *sweep, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    uint64_t id = 0;
    int rc = store_read_begin(content->store, &txn, error);
    int found = rc == 0 ? 1 : rc;
    while (found > 0) {
        owned(ingest_record_clear) struct ingest_record record = INGEST_RECORD_NULL;
        found = store_ingest_next(&txn, id, &record, error);
        if (found > 0) {
            look_at(content, &record, sweep);
            id = record.id + 1;
        }
    }
    return found;
}

static int forget_missing(struct store_txn *txn, void *context, struct error *error)
{
    const struct ingest_sweep *sweep = context;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sweep->missing.count; i++)
        rc = store_ingest_delete(txn, sweep->missing.ids[i], error);
    return rc;
}

static void discard(struct content *content, int dirfd, const char *name, uint64_t id)
{
    char trash_name[ID_NAME_SIZE];
    id_name(id, trash_name);
    if (renameat(dirfd, name, content->root->trash_fd, trash_name) != 0)
        log_warn("cannot move the leftover %s to trash: errno %d", name, errno);
}

static int discard_ingests(struct content *content, const struct id_list *keep, struct error *error)
{
    owned(id_list_clear) struct id_list on_disk = {0};
    int rc = id_list_read(&on_disk, content->root->ingest_fd, error);
    size_t swept = 0;
    for (size_t k = 0, d = 0; rc == 0 && d < on_disk.count; d++) {
        char name[ID_NAME_SIZE];
        while (k < keep->count && keep->ids[k] < on_disk.ids[d])
            k++;
        if (k < keep->count && keep->ids[k] == on_disk.ids[d])
            continue;
        id_name(on_disk.ids[d], name);
        discard(content, content->root->ingest_fd, name, on_disk.ids[d]);
        swept++;
    }
    if (swept > 0)
        log_info("moved the data of %zu unknown ingests to trash", swept);
    return rc;
}

static int sweep_ingests(struct content *content, struct error *error)
{
    struct ingest_sweep sweep = {0};
    int rc = read_records(content, &sweep, error);
    if (rc == 0)
        rc = discard_ingests(content, &sweep.found, error);
    /* On a full volume it has to wait. */
    if (rc == 0 && sweep.missing.count > 0)
        (void) store_write(content->store, forget_missing, &sweep, NULL);
    id_list_clear(&sweep.found);
    id_list_clear(&sweep.missing);
    return rc;
}

/* True if name is that of a blob which no record names. */
static bool is_leftover(struct store_txn *txn, enum digest_algorithm algorithm, const char *name)
{
    struct digest digest;
    return digest_from_hex(algorithm, name, &digest) && store_blob_has(txn, &digest, NULL) == 0;
}

struct names {
    char **items;
    size_t count;
    size_t capacity;
};

static void names_add(struct names *names, const char *name)
{
    if (names->count == names->capacity) {
        names->capacity = names->capacity ? 2 * names->capacity : 64;
        names->items = mem_resize(names->items, names->capacity, sizeof *names->items);
    }
    names->items[names->count++] = mem_strdup(name);
}

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(&names->items[i]);
    mem_free(&names->items);
}

static int find_leftovers(struct content *content, enum digest_algorithm algorithm,
                          struct names *names, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(content->store, &txn, error);
    if (rc != 0)
        return rc;
    owned(fd_close) int fd = fd_open_dir(content->root->blob_fds[algorithm], ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir)
        return error_errno(error, "cannot read the folder of blobs");
    (void) fd_take(&fd);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own */
    for (struct dirent *entry; (entry = readdir(dir));)
        if (is_leftover(&txn, algorithm, entry->d_name))
            names_add(names, entry->d_name);
    (void) closedir(dir);
    return 0;
}

/* A crash between the rename and the record of a commit leaves the data of an ingest under the
 * blob's name. It goes back, so that the client need not send it again: 1, or 0 if it is of none.
 */
static int give_back(struct content *content, int dirfd, const char *name, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    struct stat file;
    char ingest_name[ID_NAME_SIZE];
    uint64_t id = 0;
    if (fstatat(dirfd, name, &file, AT_SYMLINK_NOFOLLOW) != 0)
        return 0;
    int rc = store_read_begin(content->store, &txn, error);
    int found = rc == 0 ? 1 : rc;
    bool matches = false;
    while (found > 0 && !matches) {
        owned(ingest_record_clear) struct ingest_record record = INGEST_RECORD_NULL;
        found = store_ingest_next(&txn, id, &record, error);
        matches = found > 0 && record.inode != 0 && record.inode == file.st_ino;
        id_name(record.id, ingest_name);
        id = record.id + 1;
    }
    if (!matches ||
        faccessat(content->root->ingest_fd, ingest_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
        return found < 0 ? found : 0;
    return renameat(dirfd, name, content->root->ingest_fd, ingest_name) == 0 ? 1 : 0;
}

static int sweep_leftover(struct content *content, int dirfd, const char *name, struct error *error)
{
    uint64_t id = 0;
    int rc = give_back(content, dirfd, name, error);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    rc = store_new_id(content->store, &id, error);
    if (rc == 0)
        discard(content, dirfd, name, id);
    return rc;
}

static int sweep_folder(struct content *content, enum digest_algorithm algorithm,
                        struct error *error)
{
    owned(names_clear) struct names names = {0};
    int rc = find_leftovers(content, algorithm, &names, error);
    for (size_t i = 0; rc == 0 && i < names.count; i++)
        rc = sweep_leftover(content, content->root->blob_fds[algorithm], names.items[i], error);
    if (rc == 0 && names.count > 0)
        log_info("took back %zu unfinished blobs", names.count);
    return rc;
}

int content_sweep(struct content *content, struct error *error)
{
    int rc = 0;
    for (int i = DIGEST_SHA256; rc == 0 && i <= DIGEST_SHA512; i++)
        rc = sweep_folder(content, (enum digest_algorithm) i, error);
    return rc == 0 ? sweep_ingests(content, error) : rc;
}
