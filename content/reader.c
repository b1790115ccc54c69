/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/volume.h"
#include "content/internal.h"
#include "content/pace.h"

void blob_reader_close(struct blob_reader *reader)
{
    open_blob_unref(reader->blob);
    *reader = BLOB_READER_NULL;
}

/* What an examination of a blob's file found out. */
struct finding {
    const struct digest *digest;
    struct timestamp created; /* tells the blob from one that took its place meanwhile */
    struct file_stamp stamp;
    bool damaged;
};

static int record_finding(struct store_txn *txn, void *context, struct error *error)
{
    const struct finding *finding = context;
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    int rc = blob_find(txn, finding->digest, &record, error);
    if (rc != 0)
        return rc;
    if (timestamp_after(record.created, finding->created) ||
        timestamp_after(finding->created, record.created))
        return error_set(error, ERROR_NOT_FOUND, "the blob was replaced meanwhile");
    record.stamp = finding->stamp;
    record.verified = clock_now();
    record.damaged = finding->damaged;
    return store_blob_put(txn, &record, error);
}

/* Notes what is wrong with the blob, so that it is not served and may be written anew. Returns
 * ERROR_CORRUPT; ERROR_NOT_FOUND if the blob was being deleted. */
static int condemn(struct content *content, const struct blob_record *record, struct error *error)
{
    struct finding finding = {.digest = &record->digest,
                              .created = record->created,
                              .stamp = record->stamp,
                              .damaged = true};
    struct error reason = {0};
    int rc = record->damaged ? 0 : store_write(content->store, record_finding, &finding, &reason);
    if (rc == ERROR_NOT_FOUND)
        return error_set(error, rc, "%s", reason.message);
    if (rc != 0)
        log_warn("cannot note that a blob is damaged: %s", reason.message);
    struct blob_name name;
    blob_name_make(&name, &record->digest);
    (void) error_wrap(error, "blob %s is damaged", name.text);
    return ERROR_CORRUPT;
}

static bool stamps_equal(const struct file_stamp *a, const struct file_stamp *b)
{
    return a->inode == b->inode && a->changed.seconds == b->changed.seconds &&
           a->changed.nanos == b->changed.nanos;
}

/* The file has been touched, or is to be read in any case: its bytes decide. */
static int examine(struct content *content, const struct blob_record *record, int fd,
                   const struct file_stamp *stamp, uint64_t bytes_per_second,
                   const struct cancel *cancel, struct error *error)
{
    owned(digester_clear) struct digester *digester = digester_new(record->digest.algorithm);
    struct finding finding = {
        .digest = &record->digest, .created = record->created, .stamp = *stamp};
    struct digest found;
    struct pace pace = pace_begin(bytes_per_second);
    int rc = content_digest_file(fd, 0, record->size, digester, &pace, cancel, error);
    if (rc != 0)
        return rc;
    digester_read(digester, &found);
    if (!digest_equal(&found, &record->digest))
        return error_set(error, ERROR_CORRUPT, "its bytes do not match its digest");
    struct error reason = {0};
    rc = store_write(content->store, record_finding, &finding, &reason);
    if (rc == ERROR_NOT_FOUND)
        return error_set(error, rc, "%s", reason.message);
    if (rc != 0) /* it is right all the same, and will be read again */
        log_warn("cannot note that a blob was verified: %s", reason.message);
    return 0;
}

static int open_file(struct content *content, const struct blob_record *record, int *out_fd,
                     struct error *error)
{
    struct blob_name name;
    blob_name_make(&name, &record->digest);
    *out_fd = openat(content->root->blob_fds[record->digest.algorithm], name.hex,
                     O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (*out_fd >= 0)
        return 0;
    if (fd_found_no_file(errno))
        return error_set(error, ERROR_CORRUPT, "its file is not there");
    return error_errno(error, "cannot open the file of blob %s", name.text);
}

/* How an examination proceeds; NULL: only if the file was touched, at full speed. */
struct thoroughness {
    uint64_t bytes_per_second; /* 0 = at full speed */
};

/* Answers the stamp of a file that is right. */
static int check_file(struct content *content, const struct blob_record *record, int fd,
                      const struct thoroughness *thorough, const struct cancel *cancel,
                      struct file_stamp *out_stamp, struct error *error)
{
    uint64_t size = 0;
    int rc = file_stamp_read(fd, out_stamp, &size, error);
    if (rc != 0)
        return rc;
    if (size == FILE_SIZE_NONE)
        return error_set(error, ERROR_CORRUPT, "its file is not a regular one");
    if (size != record->size)
        return error_set(error, ERROR_CORRUPT, "its file has %llu bytes instead of %llu",
                         (unsigned long long) size, (unsigned long long) record->size);
    if (!thorough && stamps_equal(out_stamp, &record->stamp))
        return 0;
    if (thorough)
        volume_forget_cached(fd);
    rc = examine(content, record, fd, out_stamp, thorough ? thorough->bytes_per_second : 0, cancel,
                 error);
    if (thorough)
        volume_forget_cached(fd);
    return rc;
}

static int open_checked(struct content *content, const struct digest *digest,
                        const struct thoroughness *thorough, const struct cancel *cancel,
                        struct blob_reader *out_reader, struct error *error)
{
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    owned(fd_close) int fd = -1;
    struct file_stamp stamp;
    int rc = blob_read_record(content, digest, &record, error);
    if (rc != 0)
        return rc;
    if (record.damaged && !thorough)
        rc = error_set(error, ERROR_CORRUPT, "delete it and write it again");
    if (rc == 0)
        rc = open_file(content, &record, &fd, error);
    if (rc == 0)
        rc = check_file(content, &record, fd, thorough, cancel, &stamp, error);
    if (rc == ERROR_CORRUPT) {
        rc = condemn(content, &record, error);
        /* Whoever opened it before that has put it there, or will see the record. */
        reader_cache_drop(content->readers, digest);
    }
    if (rc == 0)
        *out_reader = (struct blob_reader){.blob = open_blob_new(fd_take(&fd), &record, &stamp),
                                           .size = record.size};
    return rc;
}

int blob_reader_open(struct content *content, const struct digest *digest,
                     const struct cancel *cancel, struct blob_reader *out_reader,
                     struct error *error)
{
    if (blob_reader_open_hot(content, digest, out_reader))
        return 0;
    int rc = open_checked(content, digest, NULL, cancel, out_reader, error);
    if (rc != 0)
        return rc;
    reader_cache_put(content->readers, out_reader->blob);
    if (content_has(content, digest, NULL) == 0) /* deleted meanwhile: its space must go */
        reader_cache_drop(content->readers, digest);
    return 0;
}

bool blob_reader_open_hot(struct content *content, const struct digest *digest,
                          struct blob_reader *out_reader)
{
    struct open_blob *blob = reader_cache_get(content->readers, digest);
    struct file_stamp stamp;
    uint64_t size = 0;
    if (!blob)
        return false;
    if (file_stamp_read(blob->fd, &stamp, &size, NULL) != 0 || size != blob->size ||
        !stamps_equal(&stamp, &blob->stamp)) {
        open_blob_unref(blob);
        reader_cache_drop(content->readers, digest);
        return false;
    }
    *out_reader = (struct blob_reader){.blob = blob, .size = size};
    return true;
}

int content_verify(struct content *content, const struct digest *digest, uint64_t bytes_per_second,
                   const struct cancel *cancel, struct error *error)
{
    const struct thoroughness thorough = {.bytes_per_second = bytes_per_second};
    owned(blob_reader_close) struct blob_reader reader = BLOB_READER_NULL;
    return open_checked(content, digest, &thorough, cancel, &reader, error);
}

bool blob_reader_read_hot(const struct blob_reader *reader, void *buffer, size_t size,
                          uint64_t offset)
{
    return fd_read_cached(reader->blob->fd, buffer, size, offset) == (ssize_t) size;
}

int blob_reader_read(const struct blob_reader *reader, void *buffer, size_t size, uint64_t offset,
                     struct error *error)
{
    for (size_t done = 0; done < size;) {
        ssize_t got =
            pread(reader->blob->fd, (char *) buffer + done, size - done, (off_t) (offset + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return error_errno(error, "cannot read the blob");
        if (got == 0)
            return error_set(error, ERROR_CORRUPT, "the file of the blob has become shorter");
        done += (size_t) got;
    }
    return 0;
}

void blob_reader_prefetch(const struct blob_reader *reader, uint64_t size, uint64_t offset)
{
    volume_prefetch(reader->blob->fd, offset, size);
}
