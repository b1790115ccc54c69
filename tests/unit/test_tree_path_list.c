/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/tree_sample.h"
#include "tests/unit/volume_fixture.h"
#include "tree/fixups.h"

static void add(struct path_list *list, const char *path, unsigned what, uint64_t group)
{
    const struct path_item item = {
        .path = path, .what = what, .group = group, .entries = 1, .bytes = 10};
    assert_true(path_list_add(list, &item));
}

static size_t place_of(const struct path_list *list, const char *path)
{
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].path, path) == 0)
            return i;
    fail_msg("%s is not in the list", path);
    return 0;
}

static unsigned what_of(const struct path_list *list, const char *path)
{
    return list->items[place_of(list, path)].what;
}

/* '-' and '.' come before '/' in ASCII; names that begin like a directory's are not below it. */
static void what_is_below_a_directory_stands_together(void **state)
{
    (void) state;
    static const char *const sorted[] = {"",   "a",    "a/\x01", "a/b", "a/b/c",
                                         "a-", "a-/x", "a.d",    "ab"};
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    for (size_t i = 9; i > 0; i--)
        add(&list, sorted[i - 1], FIXUP_DIRECTORY, 0);
    path_list_sort(&list);
    for (size_t i = 0; i < 9; i++)
        assert_string_equal(list.items[i].path, sorted[i]);
    size_t begin = 0;
    size_t end = 0;
    assert_true(fixups_find(&list, "a", &begin, &end));
    assert_int_equal(begin, 1);
    assert_int_equal(end, 5);
    assert_int_equal(fixups_sum(&list, begin, end).entries, 4);
    assert_int_equal(fixups_sum(&list, begin, end).bytes, 40);
    assert_true(fixups_find(&list, "", &begin, &end));
    assert_int_equal(end, 9);
    assert_true(fixups_find(&list, "ab", &begin, &end));
    assert_int_equal(end - begin, 1);
    assert_false(fixups_find(&list, "b", &begin, &end));
}

static void links_name_the_first_of_their_group(void **state)
{
    (void) state;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    add(&list, "z", FIXUP_LINK, 77);
    add(&list, "m", FIXUP_LINK, 5);
    add(&list, "", FIXUP_DIRECTORY, 0);
    add(&list, "a/b", FIXUP_LINK, 77);
    add(&list, "a", FIXUP_DIRECTORY, 0);
    path_list_sort(&list);
    path_list_number_groups(&list);
    assert_int_equal(list.items[place_of(&list, "z")].group, 1 + place_of(&list, "a/b"));
    assert_int_equal(list.items[place_of(&list, "a/b")].group, 1 + place_of(&list, "a/b"));
    assert_int_equal(list.items[place_of(&list, "m")].group, 1 + place_of(&list, "m"));
    assert_int_equal(list.items[place_of(&list, "a")].group, 0);
}

static void items_of_one_path_become_one(void **state)
{
    (void) state;
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    add(&list, "b", FIXUP_LINK, 0);
    add(&list, "a", FIXUP_ACL, 0);
    add(&list, "b", FIXUP_LOCKED, 0);
    path_list_sort(&list);
    assert_int_equal(list.count, 2);
    assert_int_equal(what_of(&list, "b"), FIXUP_LINK | FIXUP_LOCKED);
    assert_int_equal(what_of(&list, "a"), FIXUP_ACL);
}

static void a_scan_finds_what_a_clone_loses(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    tree_sample_make(fixture->fd, "origin");
    owned(fd_close) int fd = fd_open_dir(fixture->fd, "origin");
    assert_int_equal(fixups_scan(&list, fixture->fd, "origin", NULL, NULL), 0);
    assert_string_equal(list.items[0].path, "");
    assert_true(what_of(&list, "set-both") & FIXUP_ATTRIBUTES);
    assert_true(what_of(&list, "fifo") & FIXUP_SPECIAL);
    assert_true(what_of(&list, "socket") & FIXUP_SPECIAL);
    assert_true(what_of(&list, "null") & FIXUP_SPECIAL);
    assert_true(what_of(&list, "group") & FIXUP_DIRECTORY);
    assert_true(what_of(&list, "one") & FIXUP_LINK);
    assert_int_equal(list.items[place_of(&list, "one")].group,
                     list.items[place_of(&list, "group/two")].group);
    size_t begin = 0;
    size_t end = 0;
    assert_true(fixups_find(&list, "", &begin, &end));
    assert_int_equal(end, list.count);
    assert_true(fixups_sum(&list, begin, end).entries > 40);
    for (size_t i = 1; i < list.count; i++) {
        struct stat found;
        assert_int_equal(fstatat(fd, list.items[i].path, &found, AT_SYMLINK_NOFOLLOW), 0);
        assert_int_equal(S_ISDIR(found.st_mode), (list.items[i].what & FIXUP_DIRECTORY) != 0);
    }
}

static void a_scan_stops_when_asked_to(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct cancel cancel = {0};
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    cancel_request(&cancel);
    tree_sample_dir(fixture->fd, "origin");
    tree_sample_file(fixture->fd, "origin/file", "x");
    assert_int_equal(fixups_scan(&list, fixture->fd, "origin", &cancel, NULL), ERROR_CANCELLED);
    assert_int_equal(list.count, 0);
}

static void a_list_that_was_saved_is_read_again(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    owned(path_list_clear) struct path_list again = PATH_LIST_NULL;
    tree_sample_make(fixture->fd, "origin");
    assert_int_equal(fixups_scan(&list, fixture->fd, "origin", NULL, NULL), 0);
    assert_false(fixups_load(&again, fixture->fd, "list"));
    assert_int_equal(fixups_save(&list, fixture->fd, "list", NULL), 0);
    assert_int_equal(fixups_save(&list, fixture->fd, "list", NULL), 0);
    assert_true(fixups_load(&again, fixture->fd, "list"));
    assert_int_equal(again.count, list.count);
    for (size_t i = 0; i < list.count; i++) {
        assert_string_equal(again.items[i].path, list.items[i].path);
        assert_int_equal(again.items[i].what, list.items[i].what);
        assert_int_equal(again.items[i].group, list.items[i].group);
        assert_int_equal(again.items[i].entries, list.items[i].entries);
        assert_int_equal(again.items[i].bytes, list.items[i].bytes);
    }
}

/* Whatever a power cut makes of the file. */
static void a_list_that_is_not_whole_is_none(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    struct stat whole;
    add(&list, "", FIXUP_DIRECTORY, 0);
    add(&list, "file", FIXUP_LINK, 3);
    path_list_sort(&list);
    path_list_number_groups(&list);
    assert_int_equal(fixups_save(&list, fixture->fd, "list", NULL), 0);
    assert_int_equal(fstatat(fixture->fd, "list", &whole, 0), 0);
    owned(path_list_clear) struct path_list intact = PATH_LIST_NULL;
    assert_true(fixups_load(&intact, fixture->fd, "list"));
    for (off_t at = 0; at < whole.st_size; at++) {
        owned(path_list_clear) struct path_list again = PATH_LIST_NULL;
        unsigned char byte = 0;
        owned(fd_close) int fd = openat(fixture->fd, "list", O_RDWR);
        assert_int_equal(pread(fd, &byte, 1, at), 1);
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
        assert_false(fixups_load(&again, fixture->fd, "list"));
        byte ^= 1;
        assert_int_equal(pwrite(fd, &byte, 1, at), 1);
    }
    for (off_t size = whole.st_size - 1; size >= 0; size--) {
        owned(path_list_clear) struct path_list again = PATH_LIST_NULL;
        owned(fd_close) int fd = openat(fixture->fd, "list", O_RDWR);
        assert_int_equal(ftruncate(fd, size), 0);
        assert_false(fixups_load(&again, fixture->fd, "list"));
    }
}

static void what_is_no_file_is_no_list(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    static const mode_t types[] = {S_IFIFO, S_IFSOCK};
    assert_int_equal(mkdirat(fixture->fd, "list", 0700), 0);
    assert_int_equal(path_list_load(&list, "test", fixture->fd, "list", NULL), ERROR_CORRUPT);
    assert_int_equal(unlinkat(fixture->fd, "list", AT_REMOVEDIR), 0);
    assert_int_equal(symlinkat("other", fixture->fd, "list"), 0);
    assert_int_equal(path_list_load(&list, "test", fixture->fd, "list", NULL), ERROR_CORRUPT);
    assert_int_equal(unlinkat(fixture->fd, "list", 0), 0);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        assert_int_equal(mknodat(fixture->fd, "list", types[i] | 0600, 0), 0);
        assert_int_equal(path_list_load(&list, "test", fixture->fd, "list", NULL), ERROR_CORRUPT);
        assert_int_equal(unlinkat(fixture->fd, "list", 0), 0);
    }
}

static void a_list_that_cannot_be_read_is_not_damaged(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    owned(path_list_clear) struct path_list list = PATH_LIST_NULL;
    owned(path_list_clear) struct path_list again = PATH_LIST_NULL;
    struct error error = {0};
    struct rlimit limit;
    add(&list, "", FIXUP_DIRECTORY, 0);
    assert_int_equal(path_list_save(&list, "test", fixture->fd, "list", NULL), 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit none = {.rlim_cur = 0, .rlim_max = limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int rc = path_list_load(&again, "test", fixture->fd, "list", &error);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
    assert_int_equal(rc, ERROR_IO);
    assert_int_equal(error.sys, EMFILE);
    assert_int_equal(path_list_load(&again, "test", fixture->fd, "list", NULL), 0);
    assert_int_equal(path_list_load(&again, "other", fixture->fd, "list", NULL), ERROR_CORRUPT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_below_a_directory_stands_together),
        cmocka_unit_test(links_name_the_first_of_their_group),
        cmocka_unit_test(items_of_one_path_become_one),
        VOLUME_TEST(a_scan_finds_what_a_clone_loses),
        VOLUME_TEST(a_scan_stops_when_asked_to),
        VOLUME_TEST(a_list_that_was_saved_is_read_again),
        VOLUME_TEST(a_list_that_is_not_whole_is_none),
        VOLUME_TEST(what_is_no_file_is_no_list),
        VOLUME_TEST(a_list_that_cannot_be_read_is_not_damaged),
    };
    return cmocka_run_group_tests_name("lists of paths", tests, volume_fixture_xfs,
                                       volume_fixture_unmount);
}
