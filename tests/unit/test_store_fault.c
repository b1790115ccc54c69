/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "store/store.h"
#include "store/trees.h"
#include "tests/unit/scratch.h"

/* The drive fails to flush the third commit: the first two are those of the opening and of tree 1.
 */
static const char faults[] = "store.flush_drive@3=5";

static struct scratch scratch;

static struct store *open_store(enum store_locks locks)
{
    struct store *store = NULL;
    struct error error = {0};
    struct store_options options = {.locks = locks};
    if (store_open(scratch.fd, true, &options, &store, &error) != 0)
        fail_msg("%s", error.message);
    return store;
}

static int note_tree(struct store_txn *txn, void *context, struct error *error)
{
    return store_tree_set_unflushed(txn, *(const uint64_t *) context, error);
}

static int note(struct store *store, uint64_t tree, struct error *error)
{
    return store_write(store, note_tree, &tree, error);
}

static size_t count_notes(struct store *store)
{
    struct store_txn txn = STORE_TXN_NULL;
    struct store_unflushed *list = NULL;
    size_t count = 0;
    assert_int_equal(store_read_begin(store, &txn, NULL), 0);
    assert_int_equal(store_tree_list_unflushed(&txn, &list, &count, NULL), 0);
    store_read_end(&txn);
    free(list);
    return count;
}

/* Whether the commit that the drive failed at holds is found out by the next start. */
static void nothing_is_written_after_a_flush_that_failed(void **state)
{
    (void) state;
    struct error error = {0};
    struct store *store = open_store(STORE_LOCKS_OWN);
    assert_int_equal(note(store, 1, NULL), 0);
    assert_int_equal(note(store, 2, &error), ERROR_IO);
    assert_non_null(strstr(error.message, "cannot commit the metadata"));
    assert_int_equal(count_notes(store), 1);
    assert_int_equal(note(store, 3, &error), ERROR_IO);
    assert_non_null(strstr(error.message, "started again"));
    assert_int_equal(count_notes(store), 1);
    store_close(store);
    store = open_store(STORE_LOCKS_OWN);
    assert_int_equal(count_notes(store), 2);
    assert_int_equal(note(store, 3, NULL), 0);
    assert_int_equal(count_notes(store), 3);
    store_close(store);
}

int main(void)
{
#ifndef CLONEFS_FAULTS
    print_message("skip: built without fault points\n");
    return 0;
#endif
    (void) setenv("CLONEFS_FAULT", faults, 1);
    scratch_make(&scratch);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_written_after_a_flush_that_failed),
    };
    int failed = cmocka_run_group_tests_name("store/fault", tests, NULL, NULL);
    scratch_remove(&scratch);
    return failed;
}
