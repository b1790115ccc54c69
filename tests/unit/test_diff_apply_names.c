/* SPDX-License-Identifier: Apache-2.0 */
/* Names that are one on a volume that folds them (diff/collision.h), and names that it refuses. */
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
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
#include "base/stat.h"
#include "diff/entry_path.h"
#include "tests/unit/apply_fixture.h"
#include "tests/unit/fold_nodes.h"
#include "tests/unit/volume_fixture.h"

#define COMPOSED "caf\xc3\xa9"
#define DECOMPOSED "cafe\xcc\x81"

/* A fixture whose volume takes the two names for one, or the test is skipped. */
static void make_fixture(struct apply_fixture *fixture, void **state, const char *name,
                         const char *other)
{
    apply_fixture_make(fixture, state);
    assert_int_equal(spelling_ask(fixture->dir_fd, &fixture->options.names.spelling, NULL), 0);
    owned(fd_close) int fd =
        openat(fixture->dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    if (faccessat(fixture->dir_fd, other, F_OK, 0) == 0) {
        assert_true(fixture->options.names.spelling.folds);
        return;
    }
    apply_fixture_clear(fixture);
    print_message("skip: %s and %s are two names on this volume\n", name, other);
    skip();
}

/* By case, and by normalisation too. */
#define FOLD_FIXTURE(fixture, state)                                                               \
    owned(apply_fixture_clear) struct apply_fixture fixture;                                       \
    make_fixture(&fixture, state, "name", "NAME")

/* By normalisation. */
#define NORMALISING_FIXTURE(fixture, state)                                                        \
    owned(apply_fixture_clear) struct apply_fixture fixture;                                       \
    make_fixture(&fixture, state, COMPOSED, DECOMPOSED)

/* A fixture of the file system that comes with the tests, whose limits are known. */
static void make_own_fixture(struct apply_fixture *fixture, void **state)
{
    if (strcmp(volume_fixture(state)->kind, "fold") != 0)
        skip();
    make_fixture(fixture, state, "name", "NAME");
}

#define OWN_FIXTURE(fixture, state)                                                                \
    owned(apply_fixture_clear) struct apply_fixture fixture;                                       \
    make_own_fixture(&fixture, state)

/* True if the directory has an entry of exactly this name. */
static bool lists(const struct apply_fixture *fixture, const char *dir, const char *name)
{
    bool found = false;
    int fd = openat(fixture->root_fd, dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *stream = fdopendir(fd);
    assert_non_null(stream);
    for (struct dirent *entry = readdir(stream); entry; /* NOLINT(concurrency-mt-unsafe) */
         entry = readdir(stream))                       /* NOLINT(concurrency-mt-unsafe) */
        found = found || strcmp(entry->d_name, name) == 0;
    (void) closedir(stream);
    return found;
}

static void the_volume_is_asked(void **state)
{
    FOLD_FIXTURE(fixture, state);
    assert_false(fixture.options.names.spelling.told); /* as everywhere on Linux */
    layer_tar_file(&fixture.tar, "Name", 0644, "x");
    apply_well(&fixture);
    char *spelling = NULL;
    uint64_t looked = 0;
    const struct spelling_rules *rules = &fixture.options.names.spelling;
    assert_int_equal(spelling_find(rules, fixture.root_fd, "Name", &spelling, &looked, NULL), 0);
    assert_int_equal(spelling_find(rules, fixture.root_fd, "other", &spelling, &looked, NULL), 0);
    assert_null(spelling);
    assert_int_equal(spelling_find(rules, fixture.root_fd, "NAME", &spelling, &looked, NULL), 1);
    assert_string_equal(spelling, "Name");
    assert_int_equal(looked, 3);
    mem_free(&spelling);
}

static void two_names_of_a_layer_are_refused(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "doc", 0755);
    layer_tar_file(&fixture.tar, "doc/README", 0644, "upper");
    layer_tar_file(&fixture.tar, "doc/readme", 0644, "lower");
    apply_badly(&fixture, ERROR_PRECONDITION,
                "entry doc/readme: doc/readme and doc/README are one name on this volume");
    layer_tar_dir(&fixture.tar, "Dir", 0755);
    layer_tar_dir(&fixture.tar, "dir", 0755);
    apply_badly(&fixture, ERROR_PRECONDITION, "dir and Dir are one name");
}

static void accents_are_refused_in_bytes(void **state)
{
    NORMALISING_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "name/" COMPOSED, 0644, "x");
    layer_tar_symlink(&fixture.tar, "name/" DECOMPOSED, "x");
    apply_badly(&fixture, ERROR_PRECONDITION,
                "name/cafe\\xcc\\x81 and name/caf\\xc3\\xa9 are one name on this volume");
    layer_tar_file(&fixture.tar, DECOMPOSED "/file", 0644, "x");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, COMPOSED "/other", 0644, "x");
    apply_badly(&fixture, ERROR_PRECONDITION, "caf\\xc3\\xa9 and cafe\\xcc\\x81 are one name");
    fixture.options.names.allowed = true;
    layer_tar_file(&fixture.tar, COMPOSED "/other", 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, DECOMPOSED "/other", "x");
    assert_true(lists(&fixture, ".", DECOMPOSED));
}

static void the_same_name_twice_is_none_of_this(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "Dir", 0755);
    layer_tar_file(&fixture.tar, "Dir/" DECOMPOSED, 0644, "first");
    layer_tar_file(&fixture.tar, "Dir/" DECOMPOSED, 0644, "second");
    layer_tar_link(&fixture.tar, "Link", "Dir/" DECOMPOSED);
    layer_tar_dir(&fixture.tar, "Dir", 0700);
    layer_tar_symlink(&fixture.tar, "To", "Dir");
    layer_tar_file(&fixture.tar, "To/More", 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, "Dir/" DECOMPOSED, "second");
    assert_content(&fixture, "Link", "second");
    assert_content(&fixture, "Dir/More", "x");
    layer_tar_file(&fixture.tar, "Dir/More", 0644, "again");
    layer_tar_file(&fixture.tar, ".wh.Link", 0, "");
    apply_well(&fixture);
    assert_content(&fixture, "Dir/More", "again");
    assert_false(apply_exists(&fixture, "Link"));
}

static void a_name_of_a_layer_below_is_refused(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "doc/readme", 0644, "below");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, "doc/README", 0644, "above");
    layer_tar_file(&fixture.tar, "more", 0644, "x");
    layer_tar_file(&fixture.tar, ".wh.doc2", 0644, "x");
    layer_tar_file(&fixture.tar, "doc/.wh.readme2", 0644, "x");
    apply_badly(&fixture, ERROR_PRECONDITION, "doc/README and doc/readme are one name");
}

static void a_layer_may_rename(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "doc/readme", 0644, "below");
    layer_tar_file(&fixture.tar, "doc/link", 0644, "below");
    layer_tar_file(&fixture.tar, "lib/old", 0644, "below");
    layer_tar_file(&fixture.tar, "Upper", 0644, "below");
    layer_tar_file(&fixture.tar, "opaque/" COMPOSED, 0644, "below");
    layer_tar_file(&fixture.tar, "gone/name", 0644, "below");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, ".wh.Upper", 0, "");
    layer_tar_dir(&fixture.tar, "Lib", 0755);
    layer_tar_file(&fixture.tar, "Lib/new", 0644, "above");
    layer_tar_file(&fixture.tar, ".wh.lib", 0, "");
    layer_tar_file(&fixture.tar, "doc/README", 0644, "above");
    layer_tar_file(&fixture.tar, "doc/.wh.readme", 0, "");
    layer_tar_file(&fixture.tar, "opaque/" DECOMPOSED, 0644, "above");
    layer_tar_file(&fixture.tar, "opaque/.wh..wh..opq", 0, "");
    layer_tar_file(&fixture.tar, "gone/NAME", 0644, "above");
    layer_tar_file(&fixture.tar, ".wh.gone", 0, "");
    layer_tar_file(&fixture.tar, "upper", 0644, "above");
    apply_well(&fixture);
    assert_true(lists(&fixture, "doc", "README"));
    assert_content(&fixture, "doc/README", "above");
    assert_content(&fixture, "doc/link", "below");
    assert_true(lists(&fixture, ".", "Lib"));
    assert_content(&fixture, "Lib/new", "above");
    assert_false(apply_exists(&fixture, "Lib/old"));
    assert_true(lists(&fixture, ".", "upper"));
    assert_true(lists(&fixture, "opaque", DECOMPOSED));
    assert_false(apply_exists(&fixture, "gone"));
}

static void a_whiteout_removes_no_other_name(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "README", 0644, "below");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, ".wh.readme", 0, "");
    apply_well(&fixture);
    assert_content(&fixture, "README", "below");
    assert_int_equal(fixture.result.removed, 0);
    fixture.options.names.allowed = true;
    layer_tar_file(&fixture.tar, ".wh.readme", 0, "");
    apply_well(&fixture);
    assert_content(&fixture, "README", "below");
}

static void of_several_links_the_one_that_was_meant_is_named(void **state)
{
    FOLD_FIXTURE(fixture, state);
    char *spelling = NULL;
    uint64_t looked = 0;
    layer_tar_file(&fixture.tar, "another", 0644, "x");
    layer_tar_link(&fixture.tar, "name", "another");
    layer_tar_link(&fixture.tar, "third", "another");
    apply_well(&fixture);
    assert_int_equal(spelling_find(&fixture.options.names.spelling, fixture.root_fd, "NAME",
                                   &spelling, &looked, NULL),
                     1);
    assert_string_equal(spelling, "name");
    mem_free(&spelling);
}

static void a_name_may_come_again_in_another_spelling(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "dir/file", 0644, "x");
    layer_tar_file(&fixture.tar, ".wh.dir", 0, "");
    layer_tar_file(&fixture.tar, "Dir/file", 0644, "y");
    apply_well(&fixture);
    assert_content(&fixture, "Dir/file", "y");
    layer_tar_file(&fixture.tar, "Dir/file", 0644, "x");
    layer_tar_file(&fixture.tar, ".wh.Dir", 0, "");
    layer_tar_file(&fixture.tar, "dir/file", 0644, "y");
    layer_tar_file(&fixture.tar, "Dir/file", 0644, "z");
    apply_badly(&fixture, ERROR_PRECONDITION, "Dir and dir are one name");
}

static void ways_and_targets_are_refused_too(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "Lib/Sub/file", 0644, "below");
    layer_tar_symlink(&fixture.tar, "Link", "Lib");
    layer_tar_symlink(&fixture.tar, "other", "lib");
    apply_well(&fixture);
    layer_tar_file(&fixture.tar, "Lib/sub/new", 0644, "x");
    apply_badly(&fixture, ERROR_PRECONDITION,
                "entry Lib/sub/new: Lib/sub and Lib/Sub are one name on this volume");
    layer_tar_file(&fixture.tar, "link/new", 0644, "x");
    apply_badly(&fixture, ERROR_PRECONDITION, "link and Link are one name");
    layer_tar_file(&fixture.tar, "other/new", 0644, "x");
    apply_badly(&fixture, ERROR_PRECONDITION, "lib and Lib are one name");
    layer_tar_link(&fixture.tar, "hard", "Lib/Sub/File");
    apply_badly(&fixture, ERROR_PRECONDITION, "Lib/Sub/File and Lib/Sub/file are one name");
    layer_tar_file(&fixture.tar, "Link/Sub/new", 0644, "x");
    apply_well(&fixture);
    assert_content(&fixture, "Lib/Sub/new", "x");
}

static void the_later_one_counts_if_that_is_allowed(void **state)
{
    FOLD_FIXTURE(fixture, state);
    layer_tar_dir(&fixture.tar, "Dir", 0755);
    layer_tar_file(&fixture.tar, "Dir/below", 0644, "below");
    layer_tar_file(&fixture.tar, "readme", 0644, "below");
    apply_well(&fixture);
    fixture.options.names.allowed = true;
    layer_tar_file(&fixture.tar, "README", 0644, "one");
    layer_tar_file(&fixture.tar, "ReadMe", 0644, "two");
    layer_tar_dir(&fixture.tar, "dir", 0700);
    layer_tar_file(&fixture.tar, "dir/a", 0644, "a");
    layer_tar_file(&fixture.tar, "DIR/b", 0644, "b");
    layer_tar_link(&fixture.tar, "link", "DIR/B");
    layer_tar_file(&fixture.tar, "dir/.wh..wh..opq", 0, "");
    apply_well(&fixture);
    assert_true(lists(&fixture, ".", "ReadMe"));
    assert_content(&fixture, "ReadMe", "two");
    assert_true(lists(&fixture, ".", "Dir"));
    assert_int_equal(apply_stat(&fixture, "Dir").st_mode, S_IFDIR | 0700);
    assert_int_equal(apply_stat(&fixture, "Dir").st_mtim.tv_sec, 1000000);
    assert_content(&fixture, "Dir/a", "a");
    assert_content(&fixture, "link", "b");
    assert_false(apply_exists(&fixture, "Dir/below"));
    layer_tar_dir(&fixture.tar, "dir", 0700);
    layer_tar_file(&fixture.tar, ".wh..wh..opq", 0, "");
    apply_well(&fixture);
    assert_true(lists(&fixture, ".", "Dir"));
    assert_false(apply_exists(&fixture, "ReadMe"));
}

static void what_is_no_text_is_refused_by_name(void **state)
{
    OWN_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "dir/bad\xff", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "entry dir/bad\\xff: cannot make it: this volume");
    layer_tar_file(&fixture.tar, "bad\xc3/file", 0644, "x");
    apply_badly(&fixture, ERROR_INVALID, "this volume takes names in valid UTF-8 alone");
}

static void too_many_links_are_refused_by_name(void **state)
{
    OWN_FIXTURE(fixture, state);
    layer_tar_file(&fixture.tar, "file", 0644, "x");
    for (int i = 0; i < FOLD_LINKS_MAX; i++) {
        char name[32];
        (void) snprintf(name, sizeof name, "link%d", i);
        layer_tar_link(&fixture.tar, name, "file");
    }
    apply_badly(&fixture, ERROR_INVALID,
                "entry link7: cannot make it: there are as many links to the file");
}

static void long_link_targets_are_refused_by_name(void **state)
{
    OWN_FIXTURE(fixture, state);
    char target[PATH_MAX + 1];
    memset(target, 't', sizeof target - 1);
    target[PATH_MAX] = '\0';
    layer_tar_pax_text(&fixture.tar, "linkpath", target);
    layer_tar_symlink(&fixture.tar, "link", "");
    apply_badly(&fixture, ERROR_INVALID, "entry link: the link leads to a path of 4096 bytes");
}

static void device_numbers_have_their_bits(void **state)
{
    (void) state;
    const struct device_bits linux_bits = {12, 20};
    const struct device_bits darwin_bits = {8, 24};
    assert_memory_equal(&device_bits, &linux_bits, sizeof linux_bits);
    assert_true(device_fits(&linux_bits, 0xfff, 0xfffff));
    assert_false(device_fits(&linux_bits, 0x1000, 0));
    assert_false(device_fits(&linux_bits, 0, 0x100000));
    assert_true(device_fits(&darwin_bits, 0xff, 0xffffff));
    assert_false(device_fits(&darwin_bits, 0x100, 3));
    assert_false(device_fits(&darwin_bits, 1, 0x1000000));
    assert_false(device_fits(&darwin_bits, UINT64_C(1) << 32, 0));
}

static void forks_are_no_names_on_macos(void **state)
{
    (void) state;
    assert_true(entry_path_is_special(LAYER_DARWIN, "a/file/..namedfork/rsrc"));
    assert_true(entry_path_is_special(LAYER_DARWIN, "..namedfork"));
    assert_false(entry_path_is_special(LAYER_DARWIN, "a/..namedforks/x..namedfork/namedfork"));
    assert_false(entry_path_is_special(LAYER_LINUX, "a/file/..namedfork/rsrc"));
}

/* The rule, whatever the volume. */
static void collisions_are_decided(void **state)
{
    (void) state;
    assert_int_equal(collision_decide(NULL, true, false), COLLISION_NONE);
    assert_int_equal(collision_decide(NULL, false, true), COLLISION_NONE);
    assert_int_equal(collision_decide("x", true, false), COLLISION_REFUSED);
    assert_int_equal(collision_decide("x", false, false), COLLISION_REPLACES);
    assert_int_equal(collision_decide("x", true, true), COLLISION_ALLOWED);
    assert_int_equal(collision_decide("x", false, true), COLLISION_ALLOWED);
}

static void collisions_wait_for_their_whiteouts(void **state)
{
    (void) state;
    const struct collision_rules rules = {.spelling = {.folds = true}};
    struct collisions collisions = {.rules = &rules};
    struct error error = {0};
    assert_int_equal(collisions_note(&collisions, "a/X", "a/x", 0, NULL), 0);
    assert_int_equal(collisions_note(&collisions, "b/X", "b/x", 0, NULL), 0);
    collisions_settle(&collisions, "a/xx");
    collisions_settle(&collisions, "a/x/y");
    assert_int_equal(collisions.count, 2);
    collisions_settle(&collisions, "a");
    assert_int_equal(collisions_check(&collisions, &error), ERROR_PRECONDITION);
    assert_non_null(strstr(error.message, "b/X and b/x are one name"));
    collisions_settle(&collisions, "b/x");
    assert_int_equal(collisions_check(&collisions, &error), 0);
    assert_int_equal(collisions_note(&collisions, "a/X", "a/x", 10, NULL), ERROR_NO_SPACE);
    for (int i = 0; i < 1024; i++)
        assert_int_equal(collisions_note(&collisions, "a/X", "a/x", 0, NULL), 0);
    assert_int_equal(collisions_note(&collisions, "a/X", "a/x", 0, NULL), ERROR_PRECONDITION);
    collisions_settle(&collisions, "");
    assert_int_equal(collisions.count, 0);
    collisions_clear(&collisions);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(the_volume_is_asked),
        VOLUME_TEST(two_names_of_a_layer_are_refused),
        VOLUME_TEST(accents_are_refused_in_bytes),
        VOLUME_TEST(the_same_name_twice_is_none_of_this),
        VOLUME_TEST(a_name_of_a_layer_below_is_refused),
        VOLUME_TEST(a_layer_may_rename),
        VOLUME_TEST(a_whiteout_removes_no_other_name),
        VOLUME_TEST(of_several_links_the_one_that_was_meant_is_named),
        VOLUME_TEST(a_name_may_come_again_in_another_spelling),
        VOLUME_TEST(ways_and_targets_are_refused_too),
        VOLUME_TEST(the_later_one_counts_if_that_is_allowed),
        VOLUME_TEST(what_is_no_text_is_refused_by_name),
        VOLUME_TEST(too_many_links_are_refused_by_name),
        VOLUME_TEST(long_link_targets_are_refused_by_name),
        cmocka_unit_test(device_numbers_have_their_bits),
        cmocka_unit_test(forks_are_no_names_on_macos),
        cmocka_unit_test(collisions_are_decided),
        cmocka_unit_test(collisions_wait_for_their_whiteouts),
    };
    /* A volume that the tests were given is asked what it does. */
    bool given = getenv("CLONEFS_TEST_VOLUME") != NULL; /* NOLINT(concurrency-mt-unsafe) */
    return cmocka_run_group_tests_name("names on a volume that folds them", tests,
                                       given ? volume_fixture_xfs : volume_fixture_fold,
                                       volume_fixture_unmount);
}
