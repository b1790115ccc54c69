/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/stat.h"
#include "base/volume.h"
#include "content/internal.h"
#include "store/ingests.h"

/* Read at a time to compute a digest. */
#define DIGEST_CHUNK ((size_t) 256 << 10)

static const mode_t blob_mode = 0444;

void blob_name_make(struct blob_name *name, const struct digest *digest)
{
    digest_format(digest, name->text);
    name->hex = digest_text_hex(name->text);
}

int file_stamp_read(int fd, struct file_stamp *out_stamp, uint64_t *out_size, struct error *error)
{
    struct stat found;
    if (fstat(fd, &found) != 0)
        return error_errno(error, "cannot read the attributes of the file");
    *out_stamp = (struct file_stamp){
        .inode = found.st_ino,
        .changed = {.seconds = found.st_ctim.tv_sec, .nanos = (int32_t) found.st_ctim.tv_nsec}};
    *out_size = S_ISREG(found.st_mode) ? (uint64_t) found.st_size : FILE_SIZE_NONE;
    return 0;
}

int content_digest_file(int fd, uint64_t offset, uint64_t end, struct digester *digester,
                        struct pace *pace, const struct cancel *cancel, struct error *error)
{
    owned(mem_free) char *buffer = mem_alloc(DIGEST_CHUNK);
    while (offset < end) {
        size_t wanted = end - offset < DIGEST_CHUNK ? (size_t) (end - offset) : DIGEST_CHUNK;
        ssize_t got = pread(fd, buffer, wanted, (off_t) offset);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, "cannot read the data");
        if (got == 0)
            return error_set(error, ERROR_CORRUPT, "the file has become shorter");
        if (cancel_requested(cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        digester_add(digester, buffer, (size_t) got);
        offset += (uint64_t) got;
        pace_wait(pace, (uint64_t) got, cancel);
    }
    return 0;
}

int blob_find(struct store_txn *txn, const struct digest *digest, struct blob_record *out_record,
              struct error *error)
{
    int found = store_blob_get(txn, digest, out_record, error);
    if (found != 0)
        return found < 0 ? found : 0;
    struct blob_name name;
    blob_name_make(&name, digest);
    return error_set(error, ERROR_NOT_FOUND, "there is no blob %s", name.text);
}

int blob_read_record(struct content *content, const struct digest *digest,
                     struct blob_record *out_record, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(content->store, &txn, error);
    return rc == 0 ? blob_find(&txn, digest, out_record, error) : rc;
}

int content_info(struct content *content, const struct digest *digest,
                 struct blob_record *out_record, struct error *error)
{
    int rc = blob_read_record(content, digest, out_record, error);
    if (rc != 0 || !out_record->damaged)
        return rc;
    struct blob_name name;
    blob_name_make(&name, digest);
    blob_record_clear(out_record);
    return error_set(error, ERROR_CORRUPT, "blob %s is damaged: delete it and write it again",
                     name.text);
}

int content_has(struct content *content, const struct digest *digest, struct error *error)
{
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(content->store, &txn, error);
    if (rc == 0)
        rc = store_blob_get(&txn, digest, &record, error);
    return rc > 0 ? !record.damaged : rc;
}

struct publication {
    struct blob_record *record;
    uint64_t ingest_id;
};

static int record_blob(struct store_txn *txn, void *context, struct error *error)
{
    const struct publication *publication = context;
    int rc = store_blob_put(txn, publication->record, error);
    return rc == 0 ? store_ingest_delete(txn, publication->ingest_id, error) : rc;
}

/* The file is in place; from here on the record decides. */
static int record_in_place(struct content *content, struct blob_record *record, int fd,
                           uint64_t ingest_id, struct error *error)
{
    struct publication publication = {.record = record, .ingest_id = ingest_id};
    uint64_t size = 0;
    if (fault_point("commit.dirsync") != 0 ||
        sync_group_flush(&content->blob_dirs[record->digest.algorithm]) != 0)
        return error_errno(error, "cannot make the name of the blob durable");
    int rc = file_stamp_read(fd, &record->stamp, &size, error);
    if (rc == 0 && size != record->size)
        rc = error_set(error, ERROR_CORRUPT, "the file of the blob has changed");
    if (rc == 0 && fault_point("commit.record") != 0)
        rc = error_errno(error, "cannot record the blob");
    record->created = record->updated = record->verified = clock_now();
    if (rc == 0)
        rc = store_write(content->store, record_blob, &publication, error);
    if (rc == 0)
        (void) fault_point("commit.recorded");
    return rc;
}

/* What is in the way is a damaged blob's file, or a directory that somebody put there instead. */
static int move_in_place(struct content *content, int dirfd, const char *name, int blob_dir,
                         const char *hex)
{
    uint64_t id = 0;
    if (fault_point("commit.rename") != 0)
        return -1;
    if (renameat(dirfd, name, blob_dir, hex) == 0)
        return 0;
    if (errno != EISDIR || store_new_id(content->store, &id, NULL) != 0)
        return -1;
    trash_put(content->trash, blob_dir, hex, id);
    return renameat(dirfd, name, blob_dir, hex);
}

/* Under the digest's lock. */
static int put_in_place(struct content *content, int dirfd, const char *name, int fd,
                        struct blob_record *record, uint64_t ingest_id, struct error *error)
{
    int blob_dir = content->root->blob_fds[record->digest.algorithm];
    struct blob_name blob;
    blob_name_make(&blob, &record->digest);
    int rc = content_has(content, &record->digest, error);
    if (rc != 0)
        return rc < 0 ? rc : error_set(error, ERROR_EXISTS, "blob %s is here already", blob.text);
    if (move_in_place(content, dirfd, name, blob_dir, blob.hex) != 0)
        return error_errno(error, "cannot put blob %s in place", blob.text);
    rc = record_in_place(content, record, fd, ingest_id, error);
    if (rc == 0)
        return 0;
    if (renameat(blob_dir, blob.hex, dirfd, name) != 0)
        log_warn("cannot put the data of blob %s back: errno %d", blob.text, errno);
    (void) error_wrap(error, "blob %s", blob.text);
    return rc;
}

int blob_flush(int fd, struct error *error)
{
    struct stat before;
    if (fstat(fd, &before) != 0)
        return error_errno(error, "cannot read the attributes of the data");
    bool writable = (before.st_mode & 0222) != 0;
    if (fault_point("commit.flush") == 0 && (!writable || fchmod(fd, blob_mode) == 0) &&
        volume_flush_file(fd) == 0)
        return 0;
    int code = error_errno(error, "cannot make the data of the blob durable");
    if (writable)
        (void) fchmod(fd, before.st_mode & 07777);
    return code;
}

int blob_publish(struct content *content, int dirfd, const char *name, int fd,
                 struct blob_record *record, uint64_t ingest_id, struct error *error)
{
    owned(digest_lock_release) struct digest_lock lock = DIGEST_LOCK_NULL;
    digest_lock_take(&content->digests, &record->digest, &lock);
    return put_in_place(content, dirfd, name, fd, record, ingest_id, error);
}

struct update {
    const struct digest *digest;
    const struct labels *labels;
    char *const *mask;
    size_t mask_count;
    struct blob_record *out_record;
};

static int record_update(struct store_txn *txn, void *context, struct error *error)
{
    const struct update *update = context;
    struct blob_record *record = update->out_record;
    blob_record_clear(record);
    int rc = blob_find(txn, update->digest, record, error);
    if (rc == 0)
        rc =
            labels_update(&record->labels, update->labels, update->mask, update->mask_count, error);
    if (rc == 0)
        rc = labels_check(&record->labels, error);
    if (rc != 0)
        return rc;
    record->updated = clock_now();
    return store_blob_put(txn, record, error);
}

int content_update(struct content *content, const struct digest *digest,
                   const struct labels *labels, char *const *mask, size_t mask_count,
                   struct blob_record *out_record, struct error *error)
{
    struct update update = {digest, labels, mask, mask_count, out_record};
    int rc = store_write(content->store, record_update, &update, error);
    if (rc != 0)
        blob_record_clear(out_record);
    return rc;
}

static bool lookup(const void *object, const char *const *path, size_t count,
                   const char **out_value)
{
    static _Thread_local char text[DIGEST_TEXT_SIZE];
    const struct blob_record *record = object;
    if (count == 1 && strcmp(path[0], "digest") == 0) {
        digest_format(&record->digest, text);
        *out_value = text;
        return true;
    }
    return labels_lookup(&record->labels, path, count, out_value);
}

int content_list_begin(struct content *content, struct store_txn *out_txn, struct error *error)
{
    return store_read_begin(content->store, out_txn, error);
}

int content_list_next(struct store_txn *txn, const struct filter_list *filters,
                      const struct patience *patience, struct store_blob_position *position,
                      struct blob_record *out_record, struct error *error)
{
    const struct store_blob_position before = *position;
    int found = store_blob_next(txn, position, out_record, error);
    if (found <= 0)
        return found;
    int answer = filter_list_look(filters, lookup, out_record, patience, error);
    if (answer == FILTER_AGAIN)
        *position = before;
    if (answer != FILTER_MATCH)
        blob_record_clear(out_record);
    return answer;
}

static int record_deletion(struct store_txn *txn, void *context, struct error *error)
{
    return store_blob_delete(txn, context, error);
}

int content_delete(struct content *content, const struct digest *digest, struct error *error)
{
    owned(digest_lock_release) struct digest_lock lock = DIGEST_LOCK_NULL;
    struct blob_name name;
    uint64_t id = 0;
    struct digest copy = *digest;
    blob_name_make(&name, digest);
    digest_lock_take(&content->digests, digest, &lock);
    int rc = store_new_id(content->store, &id, error);
    if (rc == 0)
        rc = store_write(content->store, record_deletion, &copy, error);
    if (rc != 0) {
        (void) error_wrap(error, "cannot delete blob %s", name.text);
        return rc;
    }
    (void) fault_point("delete.recorded");
    reader_cache_drop(content->readers, digest);
    trash_put(content->trash, content->root->blob_fds[digest->algorithm], name.hex, id);
    (void) fault_point("delete.trashed");
    return 0;
}
