/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/volume_fixture.h"
#include "tree/volume_check.h"

#define SHARED "/System/Volumes/Data"

/* The volume that clonefs-make-volume makes, and its store: nothing to find fault with. */
static const struct volume_state good = {.system = VOLUME_ON_MACOS,
                                         .root = "/private/var/db/clonefs/store",
                                         .folder = "/private/var/db/clonefs/store",
                                         .mount_point = "/private/var/db/clonefs",
                                         .file_system = "apfs"};

static const struct volume_allowances strict = {0};
static const struct volume_allowances lax = {.case_insensitive = true};

enum { TEXTS = 24 };

struct findings {
    unsigned refused;
    unsigned warned;
    char texts[TEXTS][4096];
};

static void note(void *context, enum volume_verdict verdict, const char *text)
{
    struct findings *findings = context;
    unsigned count = findings->refused + findings->warned;
    assert_in_range(count, 0, TEXTS - 1);
    (void) snprintf(findings->texts[count], sizeof findings->texts[count], "%s", text);
    verdict == VOLUME_REFUSED ? findings->refused++ : findings->warned++;
    assert_null(strchr(text, '{')); /* all is filled in */
    assert_null(strchr(text, '}'));
}

static const struct findings *judge(const struct volume_state *state,
                                    const struct volume_allowances *allowances)
{
    static struct findings findings;
    memset(&findings, 0, sizeof findings);
    volume_judge(state, allowances, note, &findings);
    return &findings;
}

static void expect(const struct findings *findings, unsigned refused, unsigned warned,
                   const char *remedy)
{
    bool found = !remedy;
    for (unsigned i = 0; i < findings->refused + findings->warned; i++)
        found = found || strstr(findings->texts[i], remedy) != NULL;
    if (findings->refused != refused || findings->warned != warned || !found)
        fail_msg("%u refused and %u warned, not %u and %u with \"%s\"; first: %s",
                 findings->refused, findings->warned, refused, warned, remedy ? remedy : "",
                 findings->texts[0]);
}

#define EXPECT(state, refused, warned, remedy)                                                     \
    expect(judge(state, &strict), (refused), (warned), (remedy))

static void the_volume_that_is_made_for_a_store_is_good(void **state)
{
    (void) state;
    EXPECT(&good, 0, 0, NULL);
}

static void only_apfs_is_taken_on_macos(void **state)
{
    (void) state;
    static const char *const others[] = {"hfs", "exfat", "msdos", "smbfs", "nfs", "tmpfs", ""};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        struct volume_state found = good;
        (void) snprintf(found.file_system, sizeof found.file_system, "%s", others[i]);
        EXPECT(&found, 1, 0, "sudo clonefs-make-volume");
    }
}

static void owners_must_count(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.owners_ignored = true;
    EXPECT(&found, 1, 0, "sudo diskutil enableOwnership '/private/var/db/clonefs'");
}

static void case_must_count_unless_allowed(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.case_insensitive = true;
    EXPECT(&found, 1, 0, "allow_case_insensitive = true");
    expect(judge(&found, &lax), 0, 1, "differ by case");
    found = (struct volume_state){.system = VOLUME_ON_LINUX,
                                  .root = "/srv/store",
                                  .folder = "/srv/store",
                                  .mount_point = "/srv",
                                  .case_insensitive = true};
    EXPECT(&found, 1, 0, "chattr -F '/srv/store'");
    expect(judge(&found, &lax), 0, 1, "differ by case");
}

static void nothing_else_is_allowed_by_that(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.owners_ignored = found.read_only = found.inherits_acl = true;
    expect(judge(&found, &lax), 3, 0, "enableOwnership");
}

static void what_is_read_only_is_refused_once(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.read_only = true;
    EXPECT(&found, 1, 0, "mount it for writing");
    found.system = VOLUME_ON_LINUX;
    EXPECT(&found, 1, 0, "mount it for writing");
    found.system = VOLUME_ON_MACOS;
    (void) snprintf(found.mount_point, sizeof found.mount_point, "/");
    EXPECT(&found, 1, 1, "the volume of macOS itself");
}

static void the_systems_volume_gets_one_warning_for_all_its_services(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.indexed = found.events_logged = found.backed_up = true;
    EXPECT(&found, 0, 3, "sudo tmutil addexclusion '/private/var/db/clonefs'");
    (void) snprintf(found.mount_point, sizeof found.mount_point, SHARED);
    EXPECT(&found, 0, 1, "sudo clonefs-make-volume");
    (void) snprintf(found.mount_point, sizeof found.mount_point, SHARED "/private/store");
    EXPECT(&found, 0, 3, "sudo tmutil addexclusion '" SHARED "/private/store'");
}

static void each_service_has_its_remedy(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.indexed = true;
    EXPECT(&found, 0, 1, "sudo touch '/private/var/db/clonefs/.metadata_never_index'");
    EXPECT(&found, 0, 1, "sudo mdutil -i off '/private/var/db/clonefs'");
    found = good;
    found.events_logged = true;
    EXPECT(&found, 0, 1, "sudo touch '/private/var/db/clonefs/.fseventsd/no_log'");
    found = good;
    found.backed_up = true;
    EXPECT(&found, 0, 1, "sudo tmutil addexclusion '/private/var/db/clonefs'");
}

static void inherited_access_control_lists_are_refused(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.inherits_acl = true;
    (void) snprintf(found.folder, sizeof found.folder, "/private/var/db/clonefs");
    EXPECT(&found, 1, 0, "sudo chmod -N '/private/var/db/clonefs'");
}

static void mounts_that_weaken_images_are_a_warning(void **state)
{
    (void) state;
    struct volume_state found = good;
    found.no_suid = true;
    EXPECT(&found, 0, 1, "mount -u -o suid");
    found.no_dev = true;
    EXPECT(&found, 0, 2, "remount,dev");
    found.no_exec = true;
    EXPECT(&found, 0, 3, "remount,exec");
    found.system = VOLUME_ON_LINUX;
    EXPECT(&found, 0, 3, "remount,suid");
    found = good;
    found.removable = true;
    EXPECT(&found, 0, 1, "Full Disk Access");
}

static void a_servers_volume_is_a_warning_on_linux(void **state)
{
    (void) state;
    struct volume_state found = {.system = VOLUME_ON_LINUX, .remote = true, .file_system = "nfs"};
    EXPECT(&found, 0, 1, "(nfs)");
}

static void places_of_users(void **state)
{
    (void) state;
    static const struct {
        const char *root;
        unsigned refused;
        unsigned warned;
    } places[] = {
        {"/Users/ann/Desktop", 1, 0},
        {"/Users/ann/Desktop/store", 1, 0},
        {"/Users/ann/Documents/store", 1, 0},
        {"/Users/ann/Downloads/store", 1, 0},
        {"/Users/ann/Library/Mobile Documents/com~apple~CloudDocs/store", 1, 0},
        {"/Users/ann/Library/CloudStorage/Box/store", 1, 0},
        {"/Users/ann/Desktops/store", 0, 1},
        {"/Users/ann/store", 0, 1},
        {"/Users/ann", 0, 1},
        {"/private/var/root/store", 0, 1},
        {"/Users/Shared/store", 0, 0},
        {"/private/var/db/Users/ann/Desktop/store", 0, 0},
        {"/opt/Desktop/store", 0, 0},
    };
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        struct volume_state found = good;
        (void) snprintf(found.root, sizeof found.root, "%s", places[i].root);
        EXPECT(&found, places[i].refused, places[i].warned, NULL);
        found.system = VOLUME_ON_LINUX;
        EXPECT(&found, 0, 0, NULL);
    }
}

/* ---- what this system says ------------------------------------------------------------------ */

static const struct findings *check(const char *root)
{
    static struct findings findings;
    struct error error = {0};
    memset(&findings, 0, sizeof findings);
    if (volume_check(root, &strict, note, &findings, &error) != 0)
        fail_msg("%s", error.message);
    return &findings;
}

static void the_flags_of_a_mount_are_found(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    unsigned always = check(fixture->path)->warned; /* under emulation services are on */
    char text[4096];
    expect(check(fixture->path), 0, always, NULL);
    const unsigned long weak = MS_REMOUNT | MS_BIND | MS_NOSUID | MS_NODEV | MS_NOEXEC;
    assert_int_equal(mount(NULL, fixture->volume, NULL, weak, NULL), 0);
    (void) snprintf(text, sizeof text, "%s is mounted nosuid", fixture->volume);
    expect(check(fixture->path), 0, always + 3, text);
    assert_int_equal(mount(NULL, fixture->volume, NULL, weak | MS_RDONLY, NULL), 0);
    (void) snprintf(text, sizeof text, "%s is on %s, which is mounted read-only", fixture->path,
                    fixture->volume);
    expect(check(fixture->path), 1, always + 3, text);
    assert_int_equal(mount(NULL, fixture->volume, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
}

static void a_root_that_is_not_there_is_judged_by_the_folder_above(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    const unsigned long weak = MS_REMOUNT | MS_BIND | MS_RDONLY;
    unsigned always = check(fixture->path)->warned;
    char root[4096];
    char text[8192];
    struct stat status;
    assert_int_equal(mount(NULL, fixture->volume, NULL, weak, NULL), 0);
    (void) snprintf(text, sizeof text, "%s/new is on %s,", fixture->path, fixture->volume);
    (void) snprintf(root, sizeof root, "%s/new", fixture->path);
    expect(check(root), 1, always, text);
    (void) snprintf(root, sizeof root, "%s/new//", fixture->path);
    expect(check(root), 1, always, text);
    assert_int_equal(chdir(fixture->path), 0);
    expect(check("new"), 1, always, text);
    assert_int_equal(chdir("/"), 0);
    (void) snprintf(root, sizeof root, "%s/new/below", fixture->path);
    expect(check(root), 0, 0, NULL);
    assert_int_equal(mount(NULL, fixture->volume, NULL, MS_REMOUNT | MS_BIND, NULL), 0);
    (void) snprintf(root, sizeof root, "%s/new", fixture->path);
    expect(check(root), 0, always, NULL);
    assert_int_not_equal(stat(root, &status), 0); /* nothing was made */
}

static void a_root_that_is_a_file_cannot_be_judged(void **state)
{
    (void) state;
    struct error error = {0};
    struct findings findings = {0};
    assert_int_equal(volume_check("/proc/self/status", &strict, note, &findings, &error), ERROR_IO);
    assert_non_null(strstr(error.message, "cannot open the folder"));
}

int main(void)
{
    const struct CMUnitTest rules[] = {
        cmocka_unit_test(the_volume_that_is_made_for_a_store_is_good),
        cmocka_unit_test(only_apfs_is_taken_on_macos),
        cmocka_unit_test(owners_must_count),
        cmocka_unit_test(case_must_count_unless_allowed),
        cmocka_unit_test(nothing_else_is_allowed_by_that),
        cmocka_unit_test(what_is_read_only_is_refused_once),
        cmocka_unit_test(the_systems_volume_gets_one_warning_for_all_its_services),
        cmocka_unit_test(each_service_has_its_remedy),
        cmocka_unit_test(inherited_access_control_lists_are_refused),
        cmocka_unit_test(mounts_that_weaken_images_are_a_warning),
        cmocka_unit_test(a_servers_volume_is_a_warning_on_linux),
        cmocka_unit_test(places_of_users),
        cmocka_unit_test(a_root_that_is_a_file_cannot_be_judged),
    };
    const struct CMUnitTest states[] = {
        VOLUME_TEST(the_flags_of_a_mount_are_found),
        VOLUME_TEST(a_root_that_is_not_there_is_judged_by_the_folder_above),
    };
    int failed = cmocka_run_group_tests(rules, NULL, NULL);
    return failed + cmocka_run_group_tests(states, volume_fixture_xfs, volume_fixture_unmount);
}
