/* SPDX-License-Identifier: Apache-2.0 */
#include "content/ingest.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/id_list.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/volume.h"
#include "content/internal.h"

/* More are a leak of some client. */
#define INGESTS_MAX 65536

/* Data is pushed to disk whenever so much has come, so that a commit has little left to flush and
 * memory is not full of it. */
#define PUSH_BYTES ((uint64_t) 8 << 20)

/* While a writer may come; a blob is read-only. */
static const mode_t file_mode = 0600;

static struct ingest_table *table_of(const struct ingest *ingest)
{
    return &ingest->content->ingests;
}

void ingest_status_clear(struct ingest_status *status)
{
    mem_free(&status->ref);
    mem_free(&status->expected);
    *status = INGEST_STATUS_NULL;
}

/* Takes the ingest of ref or makes it: 1 if it is new. It is changing until end_taking, so that no
 * abort comes between. */
static int take_entry(struct content *content, const char *ref, struct ingest **out_ingest,
                      struct error *error)
{
    struct ingest_table *table = &content->ingests;
    uint64_t id = 0;
    int rc = store_new_id(content->store, &id, error);
    if (rc != 0)
        return rc;
    (void) pthread_mutex_lock(&table->lock);
    struct ingest *ingest = ingest_table_find(table, ref);
    if (ingest && (ingest->held || ingest->changing)) {
        rc = error_set(error, ERROR_BUSY, "ref %s is being written by somebody else", ref);
    } else if (!ingest && table->count >= INGESTS_MAX) {
        rc = error_set(error, ERROR_NO_SPACE, "there are %d ingests already: abort some",
                       INGESTS_MAX);
    } else {
        if (!ingest) {
            ingest = ingest_new(content, id, ref);
            ingest_table_add(table, ingest);
            rc = 1;
        }
        ingest->changing = true;
        ingest->held = true;
        ingest->references++;
        *out_ingest = ingest;
    }
    (void) pthread_mutex_unlock(&table->lock);
    return rc;
}

static int open_data(struct ingest *ingest, bool is_new, struct error *error)
{
    char name[ID_NAME_SIZE];
    struct stat found;
    id_name(ingest->id, name);
    if (fault_point("ingest.create") != 0)
        return error_errno(error, "cannot open the data of ingest %s", ingest->ref);
    ingest->fd =
        openat(ingest->content->root->ingest_fd, name,
               O_RDWR | O_NOFOLLOW | O_CLOEXEC | (is_new ? O_CREAT | O_EXCL : 0), file_mode);
    if (ingest->fd < 0 || fstat(ingest->fd, &found) != 0)
        return error_errno(error, "cannot open the data of ingest %s", ingest->ref);
    (void) pthread_mutex_lock(&table_of(ingest)->lock);
    ingest->inode = found.st_ino;
    (void) pthread_mutex_unlock(&table_of(ingest)->lock);
    if ((uint64_t) found.st_size == ingest->offset)
        return 0;
    /* The file is the truth. */
    if (ingest->digester)
        digester_reset(ingest->digester);
    ingest->digested = 0;
    ingest->pushed = 0;
    (void) pthread_mutex_lock(&table_of(ingest)->lock);
    ingest->offset = (uint64_t) found.st_size;
    (void) pthread_mutex_unlock(&table_of(ingest)->lock);
    return 0;
}

static void use_algorithm(struct ingest *ingest, enum digest_algorithm algorithm)
{
    if (ingest->digester && digester_algorithm(ingest->digester) == algorithm)
        return;
    digester_free(ingest->digester);
    ingest->digester = digester_new(algorithm);
    ingest->digested = 0;
}

static int empty(struct ingest *ingest, struct error *error)
{
    if (ftruncate(ingest->fd, 0) != 0)
        return error_errno(error, "cannot empty ingest %s", ingest->ref);
    digester_reset(ingest->digester);
    ingest->digested = 0;
    ingest->pushed = 0;
    ingest->doubtful = false;
    (void) pthread_mutex_lock(&table_of(ingest)->lock);
    ingest->offset = 0;
    ingest->updated = clock_now();
    (void) pthread_mutex_unlock(&table_of(ingest)->lock);
    return 0;
}

/* Notes what the client says of the blob, for others to see. */
static void describe(struct ingest *ingest, const struct digest *expected, uint64_t total)
{
    char text[DIGEST_TEXT_SIZE] = "";
    if (expected)
        digest_format(expected, text);
    (void) pthread_mutex_lock(&table_of(ingest)->lock);
    bool changed =
        (text[0] && strcmp(text, ingest->expected) != 0) || (total > 0 && total != ingest->total);
    if (text[0]) {
        mem_free(&ingest->expected);
        ingest->expected = mem_strdup(text);
    }
    if (total > 0)
        ingest->total = total;
    if (changed)
        ingest_table_note(table_of(ingest), ingest);
    (void) pthread_mutex_unlock(&table_of(ingest)->lock);
    if (changed)
        recorder_wake(ingest->content->recorder);
}

static int refuse_present(struct content *content, const struct digest *expected,
                          struct error *error)
{
    char text[DIGEST_TEXT_SIZE];
    int rc = content_has(content, expected, error);
    if (rc <= 0)
        return rc;
    digest_format(expected, text);
    return error_set(error, ERROR_EXISTS, "blob %s is here already", text);
}

static void want(struct ingest *ingest, const struct digest *expected, uint64_t total)
{
    if (expected) {
        ingest->wanted_digest = *expected;
        ingest->has_wanted_digest = true;
    }
    if (total > 0)
        ingest->wanted_total = total;
}

static int begin_writing(struct ingest *ingest, bool is_new, const struct digest *expected,
                         uint64_t total, struct error *error)
{
    int rc = expected ? refuse_present(ingest->content, expected, error) : 0;
    if (rc == 0)
        rc = open_data(ingest, is_new, error);
    if (rc != 0)
        return rc;
    ingest->has_wanted_digest = false;
    ingest->wanted_total = 0;
    want(ingest, expected, total);
    use_algorithm(ingest, expected ? expected->algorithm : DIGEST_SHA256);
    /* Only the writer changes the total. */
    if (total > 0 && ingest->total > 0 && total != ingest->total && ingest->offset > 0)
        rc = empty(ingest, error);
    if (rc == 0)
        describe(ingest, expected, total);
    return rc;
}

/* A new ingest that could not be begun is gone and leaves nothing. */
static void end_taking(struct ingest *ingest, bool gone)
{
    struct ingest_table *table = table_of(ingest);
    char name[ID_NAME_SIZE];
    id_name(ingest->id, name);
    if (gone && ingest->fd >= 0)
        (void) unlinkat(ingest->content->root->ingest_fd, name, 0);
    (void) pthread_mutex_lock(&table->lock);
    ingest_change_end(table, ingest, gone);
    (void) pthread_mutex_unlock(&table->lock);
    if (!gone)
        recorder_wake(ingest->content->recorder);
}

int ingest_take(struct content *content, const char *ref, const struct digest *expected,
                uint64_t total, struct ingest **out_ingest, struct error *error)
{
    struct ingest *ingest = NULL;
    int taken = take_entry(content, ref, &ingest, error);
    if (!ingest)
        return taken;
    bool is_new = taken == 1;
    int rc = begin_writing(ingest, is_new, expected, total, error);
    end_taking(ingest, is_new && rc != 0);
    if (rc != 0) {
        ingest_release(ingest);
        return rc;
    }
    *out_ingest = ingest;
    return 0;
}

void ingest_release(struct ingest *ingest)
{
    if (!ingest)
        return;
    struct ingest_table *table = table_of(ingest);
    fd_close(&ingest->fd);
    (void) pthread_mutex_lock(&table->lock);
    ingest->held = false;
    ingest_unref(ingest);
    (void) pthread_mutex_unlock(&table->lock);
}

static int check_alive(struct ingest *ingest, struct error *error)
{
    (void) pthread_mutex_lock(&table_of(ingest)->lock);
    bool gone = ingest->gone;
    (void) pthread_mutex_unlock(&table_of(ingest)->lock);
    return gone ? error_set(error, ERROR_NOT_FOUND, "ingest %s was aborted", ingest->ref) : 0;
}

uint64_t ingest_unread_bytes(const struct ingest *ingest)
{
    return ingest->offset - ingest->digested;
}

static int forget_record(struct store_txn *txn, void *context, struct error *error)
{
    const struct ingest *ingest = context;
    return store_ingest_delete(txn, ingest->id, error);
}

/* Of an ingest that is changing. */
static int drop(struct ingest *ingest, struct error *error)
{
    struct content *content = ingest->content;
    char name[ID_NAME_SIZE];
    int rc = store_write(content->store, forget_record, ingest, error);
    if (rc != 0)
        return rc;
    (void) fault_point("abort.recorded");
    id_name(ingest->id, name);
    trash_put(content->trash, content->root->ingest_fd, name, ingest->id);
    return 0;
}

/* Drops an ingest of which the caller has a reference. Success also if it is gone already. */
static int abort_one(struct ingest *ingest, struct error *error)
{
    struct ingest_table *table = table_of(ingest);
    (void) pthread_mutex_lock(&table->lock);
    bool gone = ingest_change_begin(table, ingest, NULL) != 0;
    (void) pthread_mutex_unlock(&table->lock);
    if (gone)
        return 0;
    int rc = drop(ingest, error);
    (void) pthread_mutex_lock(&table->lock);
    ingest_change_end(table, ingest, rc == 0);
    (void) pthread_mutex_unlock(&table->lock);
    if (rc == 0)
        return 0;
    recorder_wake(ingest->content->recorder);
    (void) error_wrap(error, "cannot abort ingest %s", ingest->ref);
    return rc;
}

int content_ingest_abort(struct content *content, const char *ref, struct error *error)
{
    struct ingest_table *table = &content->ingests;
    (void) pthread_mutex_lock(&table->lock);
    struct ingest *ingest = ingest_table_find(table, ref);
    if (ingest)
        ingest->references++;
    (void) pthread_mutex_unlock(&table->lock);
    if (!ingest)
        return 0;
    int rc = abort_one(ingest, error);
    (void) pthread_mutex_lock(&table->lock);
    ingest_unref(ingest);
    (void) pthread_mutex_unlock(&table->lock);
    return rc;
}

/* Drops an ingest whose blob is here: this one, whoever has its ref by now. */
static void discard(struct ingest *ingest)
{
    struct error error = {0};
    if (abort_one(ingest, &error) != 0)
        log_warn("an ingest whose blob is here stays until somebody aborts it: %s", error.message);
}

int ingest_announce(struct ingest *ingest, const struct digest *expected, uint64_t total,
                    struct error *error)
{
    int rc = check_alive(ingest, error);
    if (rc == 0 && expected)
        rc = refuse_present(ingest->content, expected, error);
    if (rc == ERROR_EXISTS)
        discard(ingest);
    if (rc != 0)
        return rc;
    want(ingest, expected, total);
    describe(ingest, expected, total);
    return 0;
}

void ingest_use_wanted_algorithm(struct ingest *ingest)
{
    if (ingest->has_wanted_digest)
        use_algorithm(ingest, ingest->wanted_digest.algorithm);
}

int ingest_seek(struct ingest *ingest, int64_t offset, struct error *error)
{
    if (offset == 0)
        return ingest->offset > 0 ? empty(ingest, error) : 0;
    if (offset > 0 && (uint64_t) offset == ingest->offset)
        return 0;
    return error_set(error, ERROR_OUT_OF_RANGE,
                     "offset %lld is not where ingest %s ends, which is %llu", (long long) offset,
                     ingest->ref, (unsigned long long) ingest->offset);
}

/* Starts to write what has come to disk, and waits for what was started before, so that dirty
 * memory stays small. */
static int push(struct ingest *ingest, struct error *error)
{
    uint64_t length = ingest->offset - ingest->pushed;
    if (length < PUSH_BYTES)
        return 0;
    uint64_t before = ingest->pushed > PUSH_BYTES ? ingest->pushed - PUSH_BYTES : 0;
    if (fault_point("ingest.push") == 0 &&
        (ingest->pushed == 0 || volume_push_wait(ingest->fd, before, PUSH_BYTES) == 0) &&
        volume_push(ingest->fd, ingest->pushed, length) == 0) {
        ingest->pushed = ingest->offset;
        return 0;
    }
    ingest->doubtful = true;
    return error_errno(error, "cannot write the data of ingest %s to disk", ingest->ref);
}

static int write_all(struct ingest *ingest, const struct iovec *segments, size_t count,
                     struct error *error)
{
    if (fault_point("ingest.write") == 0 &&
        fd_write_all(ingest->fd, segments, count, ingest->offset) == 0)
        return 0;
    int code = error_errno(error, "cannot write the data of ingest %s", ingest->ref);
    (void) ftruncate(ingest->fd, (off_t) ingest->offset);
    return code;
}

int ingest_append(struct ingest *ingest, const struct iovec *segments, size_t count,
                  struct error *error)
{
    uint64_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += segments[i].iov_len;
    int rc = check_alive(ingest, error);
    if (rc == 0 && bytes > INT64_MAX - ingest->offset)
        rc = error_set(error, ERROR_OUT_OF_RANGE, "ingest %s would be too long", ingest->ref);
    if (rc == 0)
        rc = write_all(ingest, segments, count, error);
    if (rc != 0)
        return rc;
    if (ingest->digested == ingest->offset) {
        for (size_t i = 0; i < count; i++)
            digester_add(ingest->digester, segments[i].iov_base, segments[i].iov_len);
        ingest->digested += bytes;
    }
    (void) pthread_mutex_lock(&table_of(ingest)->lock);
    ingest->offset += bytes;
    ingest->updated = clock_now();
    (void) pthread_mutex_unlock(&table_of(ingest)->lock);
    return push(ingest, error);
}

/* Adds what the running digest does not know yet. */
static int catch_up(struct ingest *ingest, const struct cancel *cancel, struct error *error)
{
    if (ingest->digested == ingest->offset)
        return 0;
    if (ingest->digested == 0)
        digester_reset(ingest->digester);
    int rc = content_digest_file(ingest->fd, ingest->digested, ingest->offset, ingest->digester,
                                 NULL, cancel, error);
    /* After a failure nobody knows how far it came. */
    ingest->digested = rc == 0 ? ingest->offset : 0;
    if (rc != 0)
        (void) error_wrap(error, "ingest %s", ingest->ref);
    return rc;
}

int ingest_read_digest(struct ingest *ingest, const struct cancel *cancel,
                       struct digest *out_digest, struct error *error)
{
    int rc = catch_up(ingest, cancel, error);
    if (rc == 0)
        digester_read(ingest->digester, out_digest);
    return rc;
}

static int check_wanted(const struct ingest *ingest, const struct digest *digest,
                        struct error *error)
{
    if (ingest->wanted_total > 0 && ingest->wanted_total != ingest->offset)
        return error_set(error, ERROR_PRECONDITION,
                         "ingest %s has %llu bytes, but %llu were announced", ingest->ref,
                         (unsigned long long) ingest->offset,
                         (unsigned long long) ingest->wanted_total);
    if (!ingest->has_wanted_digest || digest_equal(digest, &ingest->wanted_digest))
        return 0;
    char found[DIGEST_TEXT_SIZE];
    char wanted[DIGEST_TEXT_SIZE];
    digest_format(digest, found);
    digest_format(&ingest->wanted_digest, wanted);
    return error_set(error, ERROR_PRECONDITION, "the data of ingest %s has digest %s, not %s",
                     ingest->ref, found, wanted);
}

/* The disk failed once, and says so only once: what it has now, and not what memory has, is
 * compared with what came from the client. */
static int reread(struct ingest *ingest, const struct digest *digest, const struct cancel *cancel,
                  struct error *error)
{
    owned(digester_clear) struct digester *digester = digester_new(digest->algorithm);
    struct digest found;
    volume_forget_cached(ingest->fd);
    int rc = content_digest_file(ingest->fd, 0, ingest->offset, digester, NULL, cancel, error);
    if (rc != 0)
        return rc;
    digester_read(digester, &found);
    ingest->doubtful = !digest_equal(&found, digest);
    if (!ingest->doubtful)
        return 0;
    if (empty(ingest, NULL) != 0)
        log_error("the data of ingest %s is damaged: abort it", ingest->ref);
    return error_set(error, ERROR_IO,
                     "the disk has lost data of ingest %s, which is empty now: send it again",
                     ingest->ref);
}

static int flush(struct ingest *ingest, const struct digest *digest, const struct cancel *cancel,
                 struct error *error)
{
    int rc = blob_flush(ingest->fd, error);
    if (rc != 0)
        ingest->doubtful = true;
    return rc == 0 && ingest->doubtful ? reread(ingest, digest, cancel, error) : rc;
}

static int publish(struct ingest *ingest, const struct labels *labels, const struct cancel *cancel,
                   struct error *error)
{
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    char name[ID_NAME_SIZE];
    int rc = ingest_read_digest(ingest, cancel, &record.digest, error);
    if (rc == 0)
        rc = check_wanted(ingest, &record.digest, error);
    if (rc != 0)
        return rc;
    id_name(ingest->id, name);
    record.size = ingest->offset;
    labels_copy(&record.labels, labels);
    rc = flush(ingest, &record.digest, cancel, error);
    if (rc == 0)
        rc = blob_publish(ingest->content, ingest->content->root->ingest_fd, name, ingest->fd,
                          &record, ingest->id, error);
    if (rc != 0)
        (void) fchmod(ingest->fd, file_mode);
    return rc;
}

int ingest_commit(struct ingest *ingest, const struct labels *labels, const struct cancel *cancel,
                  struct error *error)
{
    struct ingest_table *table = table_of(ingest);
    (void) pthread_mutex_lock(&table->lock);
    int rc = ingest_change_begin(table, ingest, error);
    (void) pthread_mutex_unlock(&table->lock);
    if (rc != 0)
        return rc;
    rc = publish(ingest, labels, cancel, error);
    (void) pthread_mutex_lock(&table->lock);
    ingest_change_end(table, ingest, rc == 0);
    (void) pthread_mutex_unlock(&table->lock);
    if (rc == ERROR_EXISTS)
        discard(ingest);
    else if (rc != 0)
        recorder_wake(ingest->content->recorder);
    return rc;
}

/* Under the table's lock. */
static void copy_status(const struct ingest *ingest, struct ingest_status *out_status)
{
    *out_status = (struct ingest_status){.ref = mem_strdup(ingest->ref),
                                         .expected = mem_strdup(ingest->expected),
                                         .offset = ingest->offset,
                                         .total = ingest->total,
                                         .started = ingest->started,
                                         .updated = ingest->updated};
}

void ingest_read_times(struct ingest *ingest, struct timestamp *out_started,
                       struct timestamp *out_updated)
{
    *out_started = ingest->started;
    *out_updated = ingest->updated;
}

uint64_t ingest_offset(const struct ingest *ingest)
{
    return ingest->offset;
}

uint64_t ingest_total(const struct ingest *ingest)
{
    return ingest->total;
}

int content_ingest_status(struct content *content, const char *ref,
                          struct ingest_status *out_status, struct error *error)
{
    struct ingest_table *table = &content->ingests;
    (void) pthread_mutex_lock(&table->lock);
    const struct ingest *ingest = ingest_table_find(table, ref);
    if (ingest) {
        copy_status(ingest, out_status);
    }
    (void) pthread_mutex_unlock(&table->lock);
    return ingest ? 0 : error_set(error, ERROR_NOT_FOUND, "there is no ingest %s", ref);
}

static bool lookup(const void *object, const char *const *path, size_t count,
                   const char **out_value)
{
    const struct ingest_status *status = object;
    if (count != 1 || strcmp(path[0], "ref") != 0)
        return false;
    *out_value = status->ref;
    return true;
}

/* Filters may take their time, so they get copies. */
static size_t copy_all(struct ingest_table *table, struct ingest_status **out_list)
{
    size_t count = 0;
    (void) pthread_mutex_lock(&table->lock);
    *out_list = mem_alloc_array(table->count, sizeof **out_list);
    for (const struct ingest *ingest = table->first; ingest; ingest = ingest->next)
        copy_status(ingest, &(*out_list)[count++]);
    (void) pthread_mutex_unlock(&table->lock);
    return count;
}

int content_ingest_list(struct content *content, const struct filter_list *filters,
                        const struct patience *patience, struct ingest_status **out_list,
                        size_t *out_count, struct error *error)
{
    size_t count = copy_all(&content->ingests, out_list);
    size_t kept = 0;
    int answer = 0;
    for (size_t i = 0; i < count; i++) {
        if (answer >= 0)
            answer = filter_list_match_until(filters, lookup, &(*out_list)[i], patience);
        if (answer == 1)
            (*out_list)[kept++] = (*out_list)[i];
        else
            ingest_status_clear(&(*out_list)[i]);
    }
    *out_count = kept;
    if (answer >= 0)
        return 0;
    return error_set(error, (enum error_code) answer,
                     answer == ERROR_CANCELLED ? "the client has gone"
                                               : "the time for the filters is over");
}
