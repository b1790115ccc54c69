/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "store/internal.h"
#include "store/trees.h"
#include "tests/unit/meta_tables.h"
#include "tests/unit/scratch.h"

static struct scratch scratch;
static enum store_locks locks; /* the tests run once with each */

static int set_up(void **state)
{
    (void) state;
    scratch_make(&scratch);
    return 0;
}

static int tear_down(void **state)
{
    (void) state;
    scratch_remove(&scratch);
    return 0;
}

static struct store *open_store(uint64_t map_bytes, const char *boot_id)
{
    struct store *store = NULL;
    struct error error = {0};
    struct store_options options = {.boot_id = boot_id, .map_bytes = map_bytes, .locks = locks};
    int rc = store_open(scratch.fd, true, &options, &store, &error);
    if (rc != 0)
        fail_msg("%s", error.message);
    return store;
}

struct put {
    const char *snapshotter;
    const char *key;
    const char *parent;
    uint64_t tree;
    int refuse; /* answers this after the check, before or after writing */
    bool refuse_late;
};

static int run_put(struct store_txn *txn, void *context, struct error *error)
{
    const struct put *put = context;
    if (put->refuse && !put->refuse_late)
        return error_set(error, (enum error_code) put->refuse, "refused %s", put->key);
    struct snapshot_record record = {.snapshotter = (char *) put->snapshotter,
                                     .key = (char *) put->key,
                                     .parent = (char *) put->parent,
                                     .kind = SNAPSHOT_COMMITTED,
                                     .tree = put->tree};
    int rc = store_snapshot_put(txn, &record, error);
    if (rc == 0 && put->refuse)
        return error_set(error, (enum error_code) put->refuse, "refused %s late", put->key);
    return rc;
}

static int put(struct store *store, const char *snapshotter, const char *key, const char *parent,
               uint64_t tree)
{
    struct put change = {snapshotter, key, parent, tree, 0, false};
    return store_write(store, run_put, &change, NULL);
}

static int has(struct store *store, const char *snapshotter, const char *key)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    return store_snapshot_get(&txn, snapshotter, key, &record, NULL);
}

static void a_record_comes_back_as_it_was_put(void **state)
{
    (void) state;
    struct store *store = open_store(0, "boot");
    char key[5000];
    memset(key, 'k', sizeof key - 1);
    key[sizeof key - 1] = '\0';
    assert_int_equal(put(store, "one", key, "", 7), 0);
    assert_int_equal(has(store, "one", key), 1);
    assert_int_equal(has(store, "two", key), 0);
    key[4998] = 'x';
    assert_int_equal(has(store, "one", key), 0);
    store_close(store);
    store = open_store(0, "boot");
    key[4998] = 'k';
    assert_int_equal(has(store, "one", key), 1);
    store_close(store);
}

static int list_names(struct store *store, const char *snapshotter, char *out, size_t size)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    struct store_position position = {0};
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    int count = 0;
    out[0] = '\0';
    for (;;) {
        owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
        if (store_snapshot_next(&txn, snapshotter, &position, &record, NULL) != 1)
            return count;
        (void) snprintf(out + strlen(out), size - strlen(out), "%s ", record.key);
        count++;
    }
}

static void a_list_has_one_snapshotter_name_only(void **state)
{
    (void) state;
    struct store *store = open_store(0, "");
    char names[256];
    assert_int_equal(put(store, "one", "a", "", 1), 0);
    assert_int_equal(put(store, "one", "b", "a", 2), 0);
    assert_int_equal(put(store, "two", "c", "", 3), 0);
    assert_int_equal(list_names(store, "one", names, sizeof names), 2);
    assert_non_null(strstr(names, "a "));
    assert_non_null(strstr(names, "b "));
    assert_int_equal(list_names(store, "two", names, sizeof names), 1);
    assert_string_equal(names, "c ");
    assert_int_equal(list_names(store, "", names, sizeof names), 0);
    store_close(store);
}

static int delete_b(struct store_txn *txn, void *context, struct error *error)
{
    (void) context;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    assert_int_equal(store_snapshot_get(txn, "one", "b", &record, error), 1);
    return store_snapshot_delete(txn, &record, error);
}

static int children_of_a(struct store *store)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    return store_snapshot_has_children(&txn, "one", "a", NULL);
}

static void children_are_known_until_the_last_is_deleted(void **state)
{
    (void) state;
    struct store *store = open_store(0, "");
    assert_int_equal(put(store, "one", "a", "", 1), 0);
    assert_int_equal(children_of_a(store), 0);
    assert_int_equal(put(store, "one", "b", "a", 2), 0);
    assert_int_equal(children_of_a(store), 1);
    assert_int_equal(store_write(store, delete_b, NULL, NULL), 0);
    assert_int_equal(children_of_a(store), 0);
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    uint64_t tree = 2;
    assert_int_equal(store_tree_next(&txn, &tree, NULL), 0);
    store_read_end(&txn);
    store_close(store);
}

struct writer {
    struct store *store;
    int number;
    int wrong;
};

/* One caller in three is refused, half of them after having written. */
static void *write_many(void *argument)
{
    struct writer *writer = argument;
    for (int i = 0; i < 100; i++) {
        char key[32];
        (void) snprintf(key, sizeof key, "w%d-%d", writer->number, i);
        bool refuse = i % 3 == 0;
        struct error error = {0};
        struct put change = {"one",
                             key,
                             "",
                             (uint64_t) (writer->number * 1000 + i + 1),
                             refuse ? ERROR_INVALID : 0,
                             i % 2 == 0};
        int rc = store_write(writer->store, run_put, &change, &error);
        if (rc != (refuse ? ERROR_INVALID : 0) || has(writer->store, "one", key) != !refuse)
            writer->wrong++;
        if (refuse && !strstr(error.message, key))
            writer->wrong++;
    }
    return NULL;
}

static void one_callers_refusal_is_only_that_callers(void **state)
{
    (void) state;
    struct store *store = open_store(0, "");
    struct writer writers[8];
    pthread_t threads[8];
    for (int i = 0; i < 8; i++) {
        writers[i] = (struct writer){store, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, &writers[i]), 0);
    }
    for (int i = 0; i < 8; i++) {
        (void) pthread_join(threads[i], NULL);
        assert_int_equal(writers[i].wrong, 0);
    }
    store_close(store);
}

static void *read_all_the_time(void *argument)
{
    struct writer *reader = argument;
    while (!__atomic_load_n(&reader->number, __ATOMIC_RELAXED)) {
        int found = has(reader->store, "one", "first");
        reader->wrong += found != 1;
    }
    return NULL;
}

static void the_map_grows_while_readers_read(void **state)
{
    (void) state;
    struct store *store = open_store((uint64_t) 64 << 10, "");
    assert_int_equal(put(store, "one", "first", "", 1), 0);
    struct writer reader = {store, 0, 0};
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, read_all_the_time, &reader), 0);
    for (int i = 0; i < 1000; i++) {
        char key[600];
        (void) snprintf(key, sizeof key, "%0590d", i);
        assert_int_equal(put(store, "one", key, "", (uint64_t) i + 2), 0);
    }
    __atomic_store_n(&reader.number, 1, __ATOMIC_RELAXED);
    (void) pthread_join(thread, NULL);
    assert_int_equal(reader.wrong, 0);
    MDB_envinfo info;
    assert_int_equal(mdb_env_info(store->env, &info), 0);
    assert_true(info.me_mapsize > (size_t) 64 << 10);
    store_close(store);
}

static void ids_are_never_given_out_twice(void **state)
{
    (void) state;
    uint64_t last = 0;
    for (int round = 0; round < 3; round++) {
        struct store *store = open_store(0, "");
        for (int i = 0; i < 5000; i++) {
            uint64_t id = 0;
            assert_int_equal(store_new_id(store, &id, NULL), 0);
            assert_true(id > last);
            last = id;
        }
        store_close(store);
    }
}

static int change_format(struct store_txn *txn, void *context, struct error *error)
{
    struct store_header header;
    assert_int_equal(store_header_get(txn, &header, error), 1);
    header.format = *(const uint32_t *) context;
    return store_header_put(txn, &header, error);
}

static void a_newer_format_is_refused_with_a_clear_text(void **state)
{
    (void) state;
    uint32_t newer = STORE_FORMAT + 1;
    struct store *store = open_store(0, "");
    assert_int_equal(store_write(store, change_format, &newer, NULL), 0);
    store_close(store);
    struct error error = {0};
    struct store_options options = {.locks = locks};
    assert_int_equal(store_open(scratch.fd, true, &options, &store, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "format 3"));
}

/* As a newer clonefsd leaves it that has no use for one of our tables. */
static void no_table_is_made_in_a_newer_store(void **state)
{
    (void) state;
    uint32_t newer = STORE_FORMAT + 1;
    struct store *store = open_store(0, "");
    assert_int_equal(store_write(store, change_format, &newer, NULL), 0);
    store_close(store);
    meta_tables_drop(scratch.path, "unflushed", MDB_INTEGERKEY);
    struct store_options options = {.locks = locks};
    assert_int_equal(meta_tables_count(scratch.path), TABLE_COUNT - 1);
    assert_int_equal(store_open(scratch.fd, true, &options, &store, NULL), ERROR_PRECONDITION);
    assert_int_equal(meta_tables_count(scratch.path), TABLE_COUNT - 1);
}

static void a_foreign_database_is_refused(void **state)
{
    (void) state;
    store_close(open_store(0, ""));
    const char other[] = "00000000-0000-4000-8000-000000000000\n";
    assert_int_equal(fd_publish_small(scratch.fd, "uuid", other, sizeof other - 1, NULL), 0);
    struct store *store = NULL;
    struct error error = {0};
    struct store_options options = {.locks = locks};
    assert_int_equal(store_open(scratch.fd, true, &options, &store, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "belongs to"));
    assert_int_equal(unlinkat(scratch.fd, "uuid", 0), 0);
    assert_int_equal(store_open(scratch.fd, true, &options, &store, &error), ERROR_PRECONDITION);
}

static void data_without_its_database_is_refused(void **state)
{
    (void) state;
    struct store *store = NULL;
    struct error error = {0};
    struct store_options options = {.locks = locks};
    assert_int_equal(store_open(scratch.fd, false, &options, &store, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "no metadata database"));
    assert_int_equal(store_open(scratch.fd, true, &options, &store, &error), 0);
    store_close(store);
}

static int note_boot(struct store_txn *txn, void *context, struct error *error)
{
    (void) context;
    return store_note_boot(txn, error);
}

static void a_reboot_is_noticed_until_it_is_noted(void **state)
{
    (void) state;
    static const struct {
        const char *boot_id;
        bool rebooted;
        bool note;
    } starts[] = {{"a", false, false}, {"a", false, false}, {"b", true, false},
                  {"b", true, true},   {"b", false, false}, {"", false, false}};
    for (size_t i = 0; i < sizeof starts / sizeof starts[0]; i++) {
        struct store *store = open_store(0, starts[i].boot_id);
        assert_int_equal(store_was_rebooted(store), starts[i].rebooted);
        if (starts[i].note)
            assert_int_equal(store_write(store, note_boot, NULL, NULL), 0);
        store_close(store);
    }
}

static int note(struct store_txn *txn, void *context, struct error *error)
{
    return store_tree_set_unflushed(txn, *(const uint64_t *) context, error);
}

static int take_back(struct store_txn *txn, void *context, struct error *error)
{
    return store_tree_set_flushed(txn, context, error);
}

static int drop(struct store_txn *txn, void *context, struct error *error)
{
    return store_tree_drop_unflushed(txn, *(const uint64_t *) context, error);
}

/* The only one, or one of no tree. */
static struct store_unflushed listed_note(struct store *store)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    owned(mem_free) struct store_unflushed *list = NULL;
    size_t count = 0;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    assert_int_equal(store_tree_list_unflushed(&txn, &list, &count, NULL), 0);
    assert_true(count <= 1);
    return count == 1 ? list[0] : (struct store_unflushed){0};
}

static void a_newer_note_is_not_taken_back_by_an_older_flush(void **state)
{
    (void) state;
    uint64_t tree = 5;
    struct store *store = open_store(0, "");
    assert_int_equal(store_write(store, note, &tree, NULL), 0);
    struct store_unflushed old = listed_note(store);
    assert_int_equal(store_write(store, drop, &tree, NULL), 0);
    assert_int_equal(listed_note(store).tree, 0);
    assert_int_equal(store_write(store, note, &tree, NULL), 0);
    assert_int_equal(store_write(store, take_back, &old, NULL), 0);
    struct store_unflushed new = listed_note(store);
    assert_int_equal(new.tree, tree);
    assert_int_equal(store_write(store, take_back, &new, NULL), 0);
    assert_int_equal(listed_note(store).tree, 0);
    store_close(store);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_record_comes_back_as_it_was_put),
        CASE(a_list_has_one_snapshotter_name_only),
        CASE(children_are_known_until_the_last_is_deleted),
        CASE(one_callers_refusal_is_only_that_callers),
        CASE(the_map_grows_while_readers_read),
        CASE(ids_are_never_given_out_twice),
        CASE(a_newer_format_is_refused_with_a_clear_text),
        CASE(no_table_is_made_in_a_newer_store),
        CASE(a_foreign_database_is_refused),
        CASE(data_without_its_database_is_refused),
        CASE(a_reboot_is_noticed_until_it_is_noted),
        CASE(a_newer_note_is_not_taken_back_by_an_older_flush),
    };
    locks = STORE_LOCKS_LMDB;
    int failed = cmocka_run_group_tests_name("store, locks of LMDB", tests, NULL, NULL);
    locks = STORE_LOCKS_OWN;
    return failed + cmocka_run_group_tests_name("store, own locks", tests, NULL, NULL);
}
