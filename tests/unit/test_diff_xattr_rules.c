/* SPDX-License-Identifier: Apache-2.0 */
/* What layers carry of extended attributes, and what is restored of them, on either system:
 * docs/attributes.md as tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "diff/xattr_filter.h"

/* 127 and 128 bytes */
#define TEN "0123456789"
#define NAME_127 "user." TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "01"
#define NAME_128 NAME_127 "2"

static const struct {
    const char *name;
    bool carried[2]; /* made on Linux, on macOS */
    enum xattr_answer restored[2];
} rules[] = {
    {"user.any", {true, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"user.overlay.opaque", {false, false}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"user.a=b", {false, false}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"security.capability", {true, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"security.selinux", {false, false}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"system.posix_acl_access", {true, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"system.posix_acl_default", {true, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"trusted.overlay.opaque", {false, false}, {XATTR_TRUSTED, XATTR_TRUSTED}},
    {"com.apple.FinderInfo", {false, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"com.apple.ResourceFork", {false, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"com.apple.acl.text", {false, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"com.apple.metadata:_kMDItemUserTags", {false, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {"com.apple.metadata:com_apple_backup_excludeItem",
     {false, false},
     {XATTR_RESTORED, XATTR_RESTORED}},
    {"com.apple.provenance", {false, false}, {XATTR_RESTORED, XATTR_PRIVATE}},
    {"com.apple.macl", {false, false}, {XATTR_RESTORED, XATTR_PRIVATE}},
    {"com.apple.rootless", {false, false}, {XATTR_RESTORED, XATTR_PRIVATE}},
    {"com.apple.quarantine", {false, false}, {XATTR_RESTORED, XATTR_PRIVATE}},
    {"com.apple.lastuseddate#PS", {false, false}, {XATTR_RESTORED, XATTR_PRIVATE}},
    {"com.apple.decmpfs", {false, false}, {XATTR_RESTORED, XATTR_PRIVATE}},
    {"com.apple.system.Security", {false, false}, {XATTR_RESTORED, XATTR_PRIVATE}},
    {"org.example.note", {false, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {NAME_127, {true, true}, {XATTR_RESTORED, XATTR_RESTORED}},
    {NAME_128, {true, true}, {XATTR_RESTORED, XATTR_UNNAMEABLE}},
    {"user.\xff", {true, true}, {XATTR_RESTORED, XATTR_UNNAMEABLE}},
    {"", {false, true}, {XATTR_RESTORED, XATTR_UNNAMEABLE}},
};

static void attributes_have_their_rules(void **state)
{
    (void) state;
    static const char *const systems[] = {"Linux", "macOS"};
    assert_int_equal(strlen(NAME_127), 127);
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        for (int system = LAYER_LINUX; system <= LAYER_DARWIN; system++) {
            const char *name = rules[i].name;
            if (xattr_is_carried(system, name) != rules[i].carried[system])
                fail_msg("\"%s\" on %s: carried or not", name, systems[system]);
            if (xattr_restore(system, name) != rules[i].restored[system])
                fail_msg("\"%s\" on %s: restored or not", name, systems[system]);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(attributes_have_their_rules)};
    return cmocka_run_group_tests_name("rules of extended attributes", tests, NULL, NULL);
}
