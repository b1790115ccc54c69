/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "store/root.h"
#include "store/store.h"
#include "tests/unit/scratch.h"
#include "tests/unit/tree_sample.h"

enum { FOREIGN_MODE = 0755 };

static struct scratch scratch;

static int set_up(void **state)
{
    (void) state;
    scratch_make(&scratch);
    return chmod(scratch.path, FOREIGN_MODE);
}

static int tear_down(void **state)
{
    (void) state;
    scratch_remove(&scratch);
    return 0;
}

static mode_t mode_of_root(void)
{
    struct stat status;
    assert_int_equal(fstat(scratch.fd, &status), 0);
    return status.st_mode & 07777;
}

static bool has(const char *path)
{
    return faccessat(scratch.fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static void assert_accepted(void)
{
    struct store_root root = STORE_ROOT_NULL;
    struct error error = {0};
    if (store_root_open(scratch.path, &root, &error) != 0)
        fail_msg("%s", error.message);
    assert_int_equal(mode_of_root(), 0700);
    store_root_close(&root);
}

/* The root is refused with the words, and nothing in it is touched. */
static void assert_refused(const char *words)
{
    struct store_root root = STORE_ROOT_NULL;
    struct error error = {0};
    bool had_lock = has("lock");
    assert_int_equal(store_root_open(scratch.path, &root, &error), ERROR_PRECONDITION);
    if (!strstr(error.message, words))
        fail_msg("%s", error.message);
    assert_int_equal(mode_of_root(), FOREIGN_MODE);
    assert_int_equal(has("lock"), had_lock);
    assert_false(has("trash"));
}

static void an_empty_folder_becomes_a_root(void **state)
{
    (void) state;
    assert_accepted();
    assert_true(has("lock"));
    assert_true(has("trees"));
}

static void a_folder_with_lost_and_found_becomes_a_root(void **state)
{
    (void) state;
    tree_sample_dir(scratch.fd, "lost+found");
    assert_accepted();
}

static void the_top_of_a_volume_of_macos_becomes_a_root(void **state)
{
    (void) state;
    tree_sample_dir(scratch.fd, ".fseventsd");
    tree_sample_dir(scratch.fd, ".Trashes");
    tree_sample_file(scratch.fd, ".metadata_never_index", "");
    assert_accepted();
}

static void a_folder_of_somebody_else_is_refused_and_left_alone(void **state)
{
    (void) state;
    tree_sample_file(scratch.fd, "letter", "x");
    assert_refused("(letter)");
    tree_sample_file(scratch.fd, "lock", "");
    assert_refused("(letter)");
}

/* Names of ours are common names, too. */
static void our_names_alone_make_no_store(void **state)
{
    (void) state;
    tree_sample_dir(scratch.fd, "trees");
    assert_refused("(trees)");
    tree_sample_dir(scratch.fd, "meta");
    assert_refused("no store of clonefs");
}

static void a_first_start_that_was_cut_short_is_repeated(void **state)
{
    (void) state;
    tree_sample_file(scratch.fd, "lock", "");
    assert_accepted();
    assert_int_equal(fchmod(scratch.fd, FOREIGN_MODE), 0);
    assert_accepted();
}

static void a_store_with_other_files_beside_it_is_accepted(void **state)
{
    (void) state;
    tree_sample_file(scratch.fd, "uuid", "x");
    tree_sample_file(scratch.fd, "letter", "x");
    assert_accepted();
}

static void a_store_that_must_exist_is_not_made(void **state)
{
    (void) state;
    struct store_root root = STORE_ROOT_NULL;
    struct error error = {0};
    assert_int_equal(store_root_open_existing(scratch.path, &root, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "no store of clonefs"));
    assert_false(has("lock"));
    assert_int_equal(mode_of_root(), FOREIGN_MODE);

    char path[300];
    (void) snprintf(path, sizeof path, "%s/missing", scratch.path);
    assert_int_equal(store_root_open_existing(path, &root, &error), ERROR_IO);
    assert_false(has("missing"));
}

static void a_store_that_must_exist_is_opened(void **state)
{
    (void) state;
    struct store_root root = STORE_ROOT_NULL;
    struct store *store = NULL;
    struct store_options options = {0};
    assert_int_equal(store_root_open(scratch.path, &root, NULL), 0);
    assert_int_equal(store_open(root.fd, true, &options, &store, NULL), 0);
    store_close(store);
    store_root_close(&root);
    assert_int_equal(store_root_open_existing(scratch.path, &root, NULL), 0);
    store_root_close(&root);
}

static void assert_folder(int fd, const char *path)
{
    struct stat opened;
    struct stat named;
    assert_int_equal(fstat(fd, &opened), 0);
    assert_int_equal(fstatat(scratch.fd, path, &named, AT_SYMLINK_NOFOLLOW), 0);
    assert_int_equal(opened.st_ino, named.st_ino);
    assert_int_equal(named.st_mode, S_IFDIR | 0700);
}

static void the_folders_of_content_are_made_and_opened(void **state)
{
    (void) state;
    static const char *const paths[] = {NULL, "content/blobs/sha256", "content/blobs/sha384",
                                        "content/blobs/sha512"};
    struct store_root root = STORE_ROOT_NULL;
    assert_int_equal(root.blob_fds[0], -1);
    assert_int_equal(root.blob_fds[DIGEST_SHA512], -1);
    for (int round = 0; round < 2; round++) {
        assert_int_equal(store_root_open(scratch.path, &root, NULL), 0);
        assert_int_equal(root.blob_fds[0], -1);
        for (size_t i = DIGEST_SHA256; i <= DIGEST_SHA512; i++)
            assert_folder(root.blob_fds[i], paths[i]);
        assert_folder(root.ingest_fd, "content/ingest");
        store_root_close(&root);
        assert_int_equal(root.blob_fds[DIGEST_SHA256], -1);
        assert_int_equal(root.ingest_fd, -1);
    }
}

#define HEX_256 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void a_root_with_data_is_not_empty(void **state)
{
    (void) state;
    static const char *const data[] = {
        "trash/1", "content/ingest/12", "content/blobs/sha256/" HEX_256,
        "content/blobs/sha384/" HEX_256 "0123456789abcdef0123456789abcdef",
        "content/blobs/sha512/" HEX_256 HEX_256};
    static const char *const foreign[] = {"content/ingest/012",
                                          "content/ingest/note",
                                          "content/blobs/" HEX_256,
                                          "content/blobs/sha256/1",
                                          "content/blobs/sha256/" HEX_256 HEX_256,
                                          "content/blobs/sha512/" HEX_256};
    struct store_root root = STORE_ROOT_NULL;
    assert_int_equal(store_root_open(scratch.path, &root, NULL), 0);
    for (size_t i = 0; i < sizeof foreign / sizeof foreign[0]; i++)
        tree_sample_file(scratch.fd, foreign[i], "");
    assert_true(store_root_is_empty(&root));
    for (size_t i = 0; i < sizeof data / sizeof data[0]; i++) {
        tree_sample_file(scratch.fd, data[i], "");
        assert_false(store_root_is_empty(&root));
        assert_int_equal(unlinkat(scratch.fd, data[i], 0), 0);
        assert_true(store_root_is_empty(&root));
    }
    store_root_close(&root);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_empty_folder_becomes_a_root),
        CASE(a_folder_with_lost_and_found_becomes_a_root),
        CASE(the_top_of_a_volume_of_macos_becomes_a_root),
        CASE(a_folder_of_somebody_else_is_refused_and_left_alone),
        CASE(our_names_alone_make_no_store),
        CASE(a_first_start_that_was_cut_short_is_repeated),
        CASE(a_store_with_other_files_beside_it_is_accepted),
        CASE(a_store_that_must_exist_is_not_made),
        CASE(a_store_that_must_exist_is_opened),
        CASE(the_folders_of_content_are_made_and_opened),
        CASE(a_root_with_data_is_not_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
