/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "store/blobs.h"
#include "store/ingests.h"
#include "store/internal.h"
#include "tests/unit/meta_tables.h"
#include "tests/unit/scratch.h"

/* Records of blobs and ingests. */

static struct scratch scratch;
static struct store *store;

static void open_store(void)
{
    struct error error = {0};
    struct store_options options = {0};
    if (store_open(scratch.fd, true, &options, &store, &error) != 0)
        fail_msg("%s", error.message);
}

static void open_again(void)
{
    store_close(store);
    open_store();
}

static int set_up(void **state)
{
    (void) state;
    scratch_make(&scratch);
    open_store();
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    store_close(store);
    scratch_remove(&scratch);
    return 0;
}

/* A digest that begins with the byte. */
static struct digest digest_of(enum digest_algorithm algorithm, uint8_t byte)
{
    struct digest digest = {.algorithm = algorithm};
    memset(digest.bytes, 0x5a, digest_size(algorithm));
    digest.bytes[0] = byte;
    return digest;
}

static int run_put_blob(struct store_txn *txn, void *context, struct error *error)
{
    return store_blob_put(txn, context, error);
}

static int run_delete_blob(struct store_txn *txn, void *context, struct error *error)
{
    return store_blob_delete(txn, context, error);
}

static int run_put_ingest(struct store_txn *txn, void *context, struct error *error)
{
    return store_ingest_put(txn, context, error);
}

static int run_delete_ingest(struct store_txn *txn, void *context, struct error *error)
{
    return store_ingest_delete(txn, *(const uint64_t *) context, error);
}

static void put_blob(struct blob_record *record)
{
    assert_int_equal(store_write(store, run_put_blob, record, NULL), 0);
}

static void put_plain_blob(struct digest digest)
{
    struct blob_record record = {.digest = digest, .size = digest.bytes[0]};
    put_blob(&record);
}

static void delete_blob(struct digest digest)
{
    assert_int_equal(store_write(store, run_delete_blob, &digest, NULL), 0);
}

static int get_blob(struct digest digest, struct blob_record *out_record)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    int found = store_blob_get(&txn, &digest, out_record, NULL);
    assert_int_equal(store_blob_has(&txn, &digest, NULL), found);
    return found;
}

static int has_blob(struct digest digest)
{
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    return get_blob(digest, &record);
}

/* The next blob, in a transaction of its own; its record's labels must be none. */
static int next_blob(struct store_blob_position *position, struct digest *out_digest)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    int found = store_blob_next(&txn, position, &record, NULL);
    assert_int_equal(record.size, record.digest.bytes[0]);
    *out_digest = record.digest;
    return found;
}

static void assert_same_time(struct timestamp a, struct timestamp b)
{
    assert_int_equal(a.seconds, b.seconds);
    assert_int_equal(a.nanos, b.nanos);
}

static void assert_same_blob(const struct blob_record *a, const struct blob_record *b)
{
    assert_true(digest_equal(&a->digest, &b->digest));
    assert_int_equal(a->size, b->size);
    assert_same_time(a->created, b->created);
    assert_same_time(a->updated, b->updated);
    assert_int_equal(a->stamp.inode, b->stamp.inode);
    assert_same_time(a->stamp.changed, b->stamp.changed);
    assert_same_time(a->verified, b->verified);
    assert_int_equal(a->damaged, b->damaged);
    assert_int_equal(a->labels.count, b->labels.count);
    for (size_t i = 0; i < a->labels.count; i++) {
        assert_string_equal(a->labels.items[i].key, b->labels.items[i].key);
        assert_string_equal(a->labels.items[i].value, b->labels.items[i].value);
    }
}

static void assert_blob_comes_back(struct blob_record *record)
{
    put_blob(record);
    for (int round = 0; round < 2; round++) {
        owned(blob_record_clear) struct blob_record found = BLOB_RECORD_NULL;
        assert_int_equal(get_blob(record->digest, &found), 1);
        assert_same_blob(&found, record);
        open_again();
    }
}

static void a_blob_comes_back_as_it_was_put(void **state)
{
    (void) state;
    owned(blob_record_clear) struct blob_record record = {
        .digest = digest_of(DIGEST_SHA512, 0),
        .size = UINT64_MAX,
        .created = {.seconds = 1, .nanos = 2},
        .updated = {.seconds = -62135596800, .nanos = 999999999},
        .stamp = {.inode = UINT64_MAX - 1, .changed = {.seconds = 5, .nanos = 6}},
        .verified = {.seconds = INT64_MAX, .nanos = 8},
        .damaged = true,
    };
    labels_set(&record.labels, "containerd.io/gc.ref.content.0", "sha256:abc");
    labels_set(&record.labels, "b", "\xc3\xa4");
    labels_set(&record.labels, "a", "1");
    assert_blob_comes_back(&record);

    struct blob_record plain = {.digest = record.digest};
    assert_blob_comes_back(&plain); /* replaces every field */
}

/* More than is unpacked on the stack. */
static void a_blob_may_have_as_many_labels_as_allowed(void **state)
{
    (void) state;
    static char value[4000];
    memset(value, 'v', sizeof value - 1);
    owned(blob_record_clear) struct blob_record record = {.digest = digest_of(DIGEST_SHA256, 1)};
    for (int count = 0; count < 1024; count++) {
        char key[16];
        (void) snprintf(key, sizeof key, "%d", count * 7919 % 1024);
        labels_set(&record.labels, key, value + count % 64 * 60);
        if (count % 256 == 255 || count < 32)
            put_blob(&record);
        if (count < 32)
            assert_int_equal(has_blob(record.digest), 1);
    }
    assert_int_equal(record.labels.count, 1024);
    assert_int_equal(labels_check(&record.labels, NULL), 0);
    assert_blob_comes_back(&record);
}

static void a_deleted_blob_is_gone(void **state)
{
    (void) state;
    struct digest digest = digest_of(DIGEST_SHA256, 1);
    assert_int_equal(has_blob(digest), 0);
    delete_blob(digest);
    put_plain_blob(digest);
    put_plain_blob(digest_of(DIGEST_SHA256, 2));
    assert_int_equal(has_blob(digest), 1);
    delete_blob(digest);
    assert_int_equal(has_blob(digest), 0);
    assert_int_equal(has_blob(digest_of(DIGEST_SHA256, 2)), 1);
    open_again();
    assert_int_equal(has_blob(digest), 0);
}

/* The bytes of one digest may begin those of another. */
static void digests_of_two_algorithms_are_two_blobs(void **state)
{
    (void) state;
    put_plain_blob(digest_of(DIGEST_SHA384, 1));
    assert_int_equal(has_blob(digest_of(DIGEST_SHA256, 1)), 0);
    assert_int_equal(has_blob(digest_of(DIGEST_SHA512, 1)), 0);
    put_plain_blob(digest_of(DIGEST_SHA512, 1));
    delete_blob(digest_of(DIGEST_SHA384, 1));
    assert_int_equal(has_blob(digest_of(DIGEST_SHA512, 1)), 1);
}

static void a_list_has_all_algorithms_in_order(void **state)
{
    (void) state;
    static const struct {
        enum digest_algorithm algorithm;
        uint8_t byte;
    } order[] = {{DIGEST_SHA256, 0}, {DIGEST_SHA256, 1}, {DIGEST_SHA256, 255}, {DIGEST_SHA384, 0},
                 {DIGEST_SHA384, 7}, {DIGEST_SHA512, 0}, {DIGEST_SHA512, 255}};
    enum { COUNT = sizeof order / sizeof order[0] };
    for (size_t i = 0; i < COUNT; i++) {
        size_t other = i * 3 % COUNT;
        put_plain_blob(digest_of(order[other].algorithm, order[other].byte));
    }
    struct store_blob_position position = {0};
    struct digest found;
    for (size_t i = 0; i < COUNT; i++) {
        struct digest expected = digest_of(order[i].algorithm, order[i].byte);
        assert_int_equal(next_blob(&position, &found), 1);
        assert_true(digest_equal(&found, &expected));
    }
    assert_int_equal(next_blob(&position, &found), 0);
    assert_int_equal(next_blob(&position, &found), 0);
}

static void a_list_goes_on_where_its_last_blob_was_deleted(void **state)
{
    (void) state;
    struct store_blob_position position = {0};
    struct digest found;
    assert_int_equal(next_blob(&position, &found), 0);
    for (uint8_t byte = 1; byte <= 5; byte++)
        put_plain_blob(digest_of(DIGEST_SHA256, byte));
    for (uint8_t byte = 1; byte <= 4; byte++) {
        assert_int_equal(next_blob(&position, &found), 1);
        assert_int_equal(found.bytes[0], byte);
        delete_blob(found);
    }
    delete_blob(digest_of(DIGEST_SHA256, 5));
    assert_int_equal(next_blob(&position, &found), 0);
}

enum { MANY = 50000 };

static int run_put_many(struct store_txn *txn, void *context, struct error *error)
{
    (void) context;
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    labels_set(&record.labels, "containerd.io/distribution.source.docker.io", "library/debian");
    labels_set(&record.labels, "containerd.io/uncompressed", "sha256:abc");
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < MANY; i++) {
        record.digest.algorithm = DIGEST_SHA256;
        digest_sha256(&i, sizeof i, record.digest.bytes);
        record.size = i;
        rc = store_blob_put(txn, &record, error);
    }
    return rc;
}

static void a_list_of_many_blobs_is_complete(void **state)
{
    (void) state;
    assert_int_equal(store_write(store, run_put_many, NULL, NULL), 0);
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    struct store_blob_position position = {0};
    size_t count = 0;
    uint64_t sum = 0;
    int64_t begun = clock_monotonic_ms();
    for (int found = 1; found == 1;) {
        owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
        found = store_blob_next(&txn, &position, &record, NULL);
        assert_true(found >= 0);
        count += (size_t) found;
        sum += record.size;
    }
    print_message("%d blobs listed in %lld ms\n", MANY, (long long) (clock_monotonic_ms() - begun));
    assert_int_equal(count, MANY);
    assert_int_equal(sum, (uint64_t) MANY * (MANY - 1) / 2);
}

static int run_put_garbage(struct store_txn *txn, void *context, struct error *error)
{
    static const uint8_t garbage[] = {0xff, 0xff, 0xff};
    struct digest digest = digest_of(DIGEST_SHA256, 1);
    uint8_t bytes[1 + DIGEST_SHA256_SIZE] = {DIGEST_SHA256};
    memcpy(bytes + 1, digest.bytes, DIGEST_SHA256_SIZE);
    MDB_val key = value_of(bytes, *(const size_t *) context);
    MDB_val value = value_of(garbage, sizeof garbage);
    size_t id = 1;
    MDB_val id_key = value_of(&id, sizeof id);
    int rc = store_put(txn, TABLE_BLOBS, &key, &value, error);
    return rc == 0 ? store_put(txn, TABLE_INGESTS, &id_key, &value, error) : rc;
}

static void garbage_is_said_to_be_corrupt(void **state)
{
    (void) state;
    size_t whole = 1 + DIGEST_SHA256_SIZE;
    size_t cut = whole - 1;
    owned(blob_record_clear) struct blob_record blob = BLOB_RECORD_NULL;
    owned(ingest_record_clear) struct ingest_record ingest = INGEST_RECORD_NULL;
    assert_int_equal(store_write(store, run_put_garbage, &whole, NULL), 0);
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    struct digest digest = digest_of(DIGEST_SHA256, 1);
    struct store_blob_position position = {0};
    assert_int_equal(store_blob_get(&txn, &digest, &blob, NULL), ERROR_CORRUPT);
    assert_int_equal(store_blob_has(&txn, &digest, NULL), 1);
    assert_int_equal(store_blob_next(&txn, &position, &blob, NULL), ERROR_CORRUPT);
    assert_int_equal(store_ingest_next(&txn, 0, &ingest, NULL), ERROR_CORRUPT);
    store_read_end(&txn);

    delete_blob(digest);
    assert_int_equal(store_write(store, run_put_garbage, &cut, NULL), 0);
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    position = (struct store_blob_position){0};
    assert_int_equal(store_blob_next(&txn, &position, &blob, NULL), ERROR_CORRUPT);
}

static void put_ingest(uint64_t id, const char *ref, const char *expected, uint64_t total)
{
    struct ingest_record record = {.id = id,
                                   .ref = (char *) ref,
                                   .expected = (char *) expected,
                                   .total = total,
                                   .started = {.seconds = (int64_t) id, .nanos = 7}};
    assert_int_equal(store_write(store, run_put_ingest, &record, NULL), 0);
}

static int next_ingest(uint64_t min_id, struct ingest_record *out_record)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    return store_ingest_next(&txn, min_id, out_record, NULL);
}

/* The id of the next ingest, 0 at the end. */
static uint64_t next_ingest_id(uint64_t min_id)
{
    owned(ingest_record_clear) struct ingest_record record = INGEST_RECORD_NULL;
    return next_ingest(min_id, &record) == 1 ? record.id : 0;
}

static void assert_ingest(uint64_t id, const char *ref, const char *expected, uint64_t total)
{
    owned(ingest_record_clear) struct ingest_record record = INGEST_RECORD_NULL;
    assert_int_equal(next_ingest(id, &record), 1);
    assert_int_equal(record.id, id);
    assert_string_equal(record.ref, ref);
    assert_string_equal(record.expected, expected);
    assert_int_equal(record.total, total);
    assert_same_time(record.started, (struct timestamp){.seconds = (int64_t) id, .nanos = 7});
}

static void an_ingest_comes_back_as_it_was_put(void **state)
{
    (void) state;
    put_ingest(3, "default/1/layer-sha256:abc", "", 0);
    assert_ingest(3, "default/1/layer-sha256:abc", "", 0);
    put_ingest(3, "a/../b", "sha256:abc", UINT64_MAX);
    for (int round = 0; round < 2; round++) {
        assert_ingest(3, "a/../b", "sha256:abc", UINT64_MAX);
        open_again();
    }
}

static void a_ref_may_be_long(void **state)
{
    (void) state;
    static char ref[4097];
    memset(ref, 'r', sizeof ref - 1);
    for (uint64_t id = 1; id <= 8; id++) {
        put_ingest(id, ref + id * 16, "", id);
        assert_ingest(id, ref + id * 16, "", id);
    }
    put_ingest(9, ref, "", 0);
    open_again();
    assert_ingest(9, ref, "", 0);
}

static void ingests_are_listed_in_the_order_of_ids(void **state)
{
    (void) state;
    static const uint64_t ids[] = {65536, 255, (uint64_t) 1 << 40, 256, 1, (uint64_t) INT64_MAX};
    static const uint64_t order[] = {1, 255, 256, 65536, (uint64_t) 1 << 40, (uint64_t) INT64_MAX};
    enum { COUNT = sizeof ids / sizeof ids[0] };
    assert_int_equal(next_ingest_id(0), 0);
    for (size_t i = 0; i < COUNT; i++)
        put_ingest(ids[i], "ref", "", 0);
    uint64_t id = 0;
    for (size_t i = 0; i < COUNT; i++) {
        id = next_ingest_id(id);
        assert_int_equal(id, order[i]);
        id++;
    }
    assert_int_equal(next_ingest_id(id), 0);
}

static void a_deleted_ingest_is_gone(void **state)
{
    (void) state;
    uint64_t id = 2;
    assert_int_equal(store_write(store, run_delete_ingest, &id, NULL), 0);
    for (uint64_t i = 1; i <= 3; i++)
        put_ingest(i, "ref", "", 0);
    assert_int_equal(store_write(store, run_delete_ingest, &id, NULL), 0);
    assert_int_equal(next_ingest_id(1), 1);
    assert_int_equal(next_ingest_id(2), 3);
    open_again();
    assert_int_equal(next_ingest_id(2), 3);
}

static void a_store_of_before_gets_the_tables(void **state)
{
    (void) state;
    store_close(store);
    meta_tables_drop(scratch.path, "blobs", 0);
    meta_tables_drop(scratch.path, "ingests", MDB_INTEGERKEY);
    open_store();
    assert_int_equal(next_ingest_id(1), 0);
    put_plain_blob(digest_of(DIGEST_SHA256, 1));
    put_ingest(1, "ref", "", 0);
    open_again();
    assert_int_equal(has_blob(digest_of(DIGEST_SHA256, 1)), 1);
    assert_ingest(1, "ref", "", 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_blob_comes_back_as_it_was_put),
        CASE(a_blob_may_have_as_many_labels_as_allowed),
        CASE(a_deleted_blob_is_gone),
        CASE(digests_of_two_algorithms_are_two_blobs),
        CASE(a_list_has_all_algorithms_in_order),
        CASE(a_list_goes_on_where_its_last_blob_was_deleted),
        CASE(a_list_of_many_blobs_is_complete),
        CASE(garbage_is_said_to_be_corrupt),
        CASE(an_ingest_comes_back_as_it_was_put),
        CASE(a_ref_may_be_long),
        CASE(ingests_are_listed_in_the_order_of_ids),
        CASE(a_deleted_ingest_is_gone),
        CASE(a_store_of_before_gets_the_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
