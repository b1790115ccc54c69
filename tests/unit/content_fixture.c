/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/content_fixture.h"

#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "store/ingests.h"

struct content_fixture fixture;

void content_fixture_open_store(void)
{
    struct error error = {0};
    struct store_options options = {.boot_id = "first"};
    if (store_root_open(fixture.scratch.path, &fixture.root, &error) != 0 ||
        store_open(fixture.root.fd, store_root_is_empty(&fixture.root), &options, &fixture.store,
                   &error) != 0)
        fail_msg("%s", error.message);
}

void content_fixture_close_store(void)
{
    store_close(fixture.store);
    store_root_close(&fixture.root);
}

void content_fixture_open(void)
{
    struct error error = {0};
    content_fixture_open_store();
    /* The folder of trees is empty here. */
    int trash_fd = fixture.keep_trash ? fixture.root.trees_fd : fixture.root.trash_fd;
    if (trash_open(trash_fd, &fixture.trash, &error) != 0 ||
        content_open(fixture.store, &fixture.root, fixture.trash, &fixture.options,
                     &fixture.content, &error) != 0)
        fail_msg("%s", error.message);
}

void content_fixture_close(void)
{
    content_close(fixture.content);
    trash_close(fixture.trash);
    content_fixture_close_store();
}

int content_fixture_set_up(void **state)
{
    (void) state;
    fixture = (struct content_fixture){.scratch.fd = -1};
    scratch_make(&fixture.scratch);
    content_fixture_open();
    return 0;
}

int content_fixture_tear_down(void **state)
{
    (void) state;
    content_fixture_close();
    scratch_remove(&fixture.scratch);
    return 0;
}

struct digest digest_of_bytes(enum digest_algorithm algorithm, const void *data, size_t size)
{
    owned(digester_clear) struct digester *digester = digester_new(algorithm);
    struct digest digest;
    digester_add(digester, data, size);
    digester_read(digester, &digest);
    return digest;
}

struct digest digest_of_text(const char *text)
{
    return digest_of_bytes(DIGEST_SHA256, text, strlen(text));
}

int append_text(struct ingest *ingest, const char *text)
{
    const struct iovec segment = {.iov_base = (char *) text, .iov_len = strlen(text)};
    return ingest_append(ingest, &segment, 1, NULL);
}

int put_text(const char *ref, const char *text)
{
    struct ingest *ingest = NULL;
    int rc = ingest_take(fixture.content, ref, NULL, 0, &ingest, NULL);
    if (rc == 0)
        rc = ingest_seek(ingest, 0, NULL);
    if (rc == 0)
        rc = append_text(ingest, text);
    if (rc == 0)
        rc = ingest_commit(ingest, &LABELS_NULL, NULL, NULL);
    ingest_release(ingest);
    return rc;
}

struct digest make_blob(const char *text)
{
    assert_int_equal(put_text(text, text), 0);
    return digest_of_text(text);
}

int open_blob(const struct digest *digest)
{
    owned(blob_reader_close) struct blob_reader reader = BLOB_READER_NULL;
    return blob_reader_open(fixture.content, digest, NULL, &reader, NULL);
}

bool blob_holds(const struct digest *digest, const char *text)
{
    owned(blob_reader_close) struct blob_reader reader = BLOB_READER_NULL;
    char data[256];
    size_t size = strlen(text);
    return blob_reader_open(fixture.content, digest, NULL, &reader, NULL) == 0 &&
           reader.size == size && blob_reader_read(&reader, data, size, 0, NULL) == 0 &&
           memcmp(data, text, size) == 0;
}

struct blob_record record_of(const struct digest *digest)
{
    struct blob_record record = BLOB_RECORD_NULL;
    assert_int_equal(blob_read_record(fixture.content, digest, &record, NULL), 0);
    labels_clear(&record.labels);
    return record;
}

static int run_put(struct store_txn *txn, void *context, struct error *error)
{
    return store_blob_put(txn, context, error);
}

int put_record(const struct blob_record *record)
{
    struct blob_record copy = *record;
    return store_write(fixture.store, run_put, &copy, NULL);
}

const char *hex_of(const struct digest *digest)
{
    static struct blob_name name;
    blob_name_make(&name, digest);
    return name.hex;
}

int folder_of(const struct digest *digest)
{
    return fixture.root.blob_fds[digest->algorithm];
}

void write_text(int dirfd, const char *name, const char *text)
{
    (void) fchmodat(dirfd, name, 0600, 0); /* blobs are read-only for those who are not root */
    int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    fd_close(&fd);
}

bool exists(int dirfd, const char *name)
{
    return faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

size_t count_entries(int dirfd)
{
    DIR *dir = fdopendir(fd_open_dir(dirfd, "."));
    size_t count = 0;
    assert_non_null(dir);
    for (const struct dirent *entry; (entry = readdir(dir));)
        count += strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    (void) closedir(dir);
    return count;
}

size_t count_ingest_records(void)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    size_t count = 0;
    uint64_t id = 0;
    assert_int_equal(store_read_begin(fixture.store, &txn, NULL), 0);
    for (;; count++) {
        owned(ingest_record_clear) struct ingest_record record = INGEST_RECORD_NULL;
        int found = store_ingest_next(&txn, id, &record, NULL);
        assert_true(found >= 0);
        if (found == 0)
            return count;
        id = record.id + 1;
    }
}

void wait_for_ingest_records(size_t count)
{
    for (int i = 0; i < 1000 && count_ingest_records() != count; i++)
        sleep_ms(10);
    assert_int_equal(count_ingest_records(), count);
}

void assert_no_ingests(void)
{
    (void) pthread_mutex_lock(&fixture.content->ingests.lock);
    size_t count = fixture.content->ingests.count;
    (void) pthread_mutex_unlock(&fixture.content->ingests.lock);
    assert_int_equal(count, 0);
    assert_int_equal(count_entries(fixture.root.ingest_fd), 0);
    /* The recorder looks after what is gone, too. */
    sleep_ms(150);
    assert_int_equal(count_ingest_records(), 0);
}

void sleep_ms(int ms)
{
    const struct timespec nap = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};
    (void) nanosleep(&nap, NULL);
}
