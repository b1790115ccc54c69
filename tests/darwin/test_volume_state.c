/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/acl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/volume_fixture.h"
#include "tree/volume_state.h"

/* What macOS says of a volume, as tree/volume_state_darwin.c asks it. */

static struct volume_state read_state(const struct volume_fixture *fixture)
{
    struct volume_state found = {0};
    volume_state_read(fixture->fd, &found);
    assert_int_equal(found.system, VOLUME_ON_MACOS);
    return found;
}

static void make_empty(int dirfd, const char *name)
{
    owned(fd_close) int fd = openat(dirfd, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
}

static void kind_and_place_are_those_of_the_mount(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct volume_state found = read_state(fixture);
    assert_string_equal(found.file_system, "apfs");
    assert_string_equal(found.mount_point, fixture->volume);
    assert_false(found.read_only);
    assert_false(found.remote);
    assert_false(found.case_insensitive);
    assert_false(found.owners_ignored);
}

static void services_look_for_their_marks(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct volume_state found = read_state(fixture);
    assert_true(found.indexed);
    assert_true(found.events_logged);
    assert_true(found.backed_up);
    make_empty(fixture->volume_fd, ".metadata_never_index");
    found = read_state(fixture);
    assert_false(found.indexed);
    assert_true(found.events_logged);
    assert_int_equal(mkdirat(fixture->volume_fd, ".fseventsd", 0700), 0);
    found = read_state(fixture);
    assert_true(found.events_logged);
    make_empty(fixture->volume_fd, ".fseventsd/no_log");
    found = read_state(fixture);
    assert_false(found.events_logged);
    assert_true(found.backed_up);
}

static void an_exclusion_from_backups_counts_for_the_volume_and_for_the_folder(void **state)
{
    static const char name[] = "com.apple.metadata:com_apple_backup_excludeItem";
    const struct volume_fixture *fixture = volume_fixture(state);
    const int places[] = {fixture->fd, fixture->volume_fd};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(fsetxattr(places[i], name, "x", 1, 0, 0), 0);
        assert_false(read_state(fixture).backed_up);
        assert_int_equal(fremovexattr(places[i], name, 0), 0);
        assert_true(read_state(fixture).backed_up);
    }
}

static void only_entries_that_are_inherited_count(void **state)
{
    static const char guid[] = "FFFFEEEE-DDDD-CCCC-BBBB-AAAA00003039";
    static const struct {
        const char *flags;
        bool inherited;
    } cases[] = {{"", false},
                 {",inherited", false},
                 {",file_inherit", true},
                 {",directory_inherit", true},
                 {",file_inherit,directory_inherit", true}};
    const struct volume_fixture *fixture = volume_fixture(state);
    assert_false(read_state(fixture).inherits_acl);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[256];
        (void) snprintf(text, sizeof text,
                        "!#acl 1\nuser:%s:::deny:delete\nuser:%s:::allow%s:read\n", guid, guid,
                        cases[i].flags);
        acl_t acl = acl_from_text(text);
        assert_int_equal(acl_set_fd_np(fixture->fd, acl, ACL_TYPE_EXTENDED), 0);
        acl_free(acl);
        assert_int_equal(read_state(fixture).inherits_acl, cases[i].inherited);
    }
}

static void names_that_fold_are_seen(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    assert_true(read_state(fixture).case_insensitive);
}

int main(void)
{
    const struct CMUnitTest on_xfs[] = {
        VOLUME_TEST(kind_and_place_are_those_of_the_mount),
        VOLUME_TEST(an_exclusion_from_backups_counts_for_the_volume_and_for_the_folder),
        VOLUME_TEST(only_entries_that_are_inherited_count),
        VOLUME_TEST(services_look_for_their_marks),
    };
    const struct CMUnitTest folding[] = {VOLUME_TEST(names_that_fold_are_seen)};
    int failed = cmocka_run_group_tests(on_xfs, volume_fixture_xfs, volume_fixture_unmount);
    return failed + cmocka_run_group_tests(folding, volume_fixture_fold, volume_fixture_unmount);
}
