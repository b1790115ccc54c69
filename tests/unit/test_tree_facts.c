/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tests/unit/platform.h"
#include "tests/unit/volume_fixture.h"
#include "tree/facts.h"

enum { FACTS = 27 };

/* What is not "yes" everywhere; for all kinds of volumes that begin with kind, or all if NULL. */
struct expected {
    const char *fact;
    const char *kind;
    const char *answer; /* NULL: depends on the version of the kernel */
    enum platform { LINUX, DARWIN, BOTH } platform;
};

static const char refused[] = "no: Operation not supported";
static const char too_big[] = "no: No space left on device";
static const char malformed[] = "no: Invalid or incomplete multibyte or wide character";
static const struct expected expected[] = {
    {"file system", "xfs", "apfs", DARWIN},
    {"file system", "btrfs", "apfs", DARWIN},
    {"a file is cloned by one call, sharing its data", "ext4", refused, BOTH},
    {"a file is cloned by one call, sharing its data", "tmpfs", refused, BOTH},
    {"writing to a clone leaves its origin alone", "ext4", refused, BOTH},
    {"writing to a clone leaves its origin alone", "tmpfs", refused, BOTH},
    {"it can be seen that a clone shares its data", "ext4", refused, BOTH},
    {"it can be seen that a clone shares its data", "tmpfs", refused, BOTH},
    {"a directory is cloned by one call", "xfs", "no", LINUX},
    {"a directory is cloned by one call", "btrfs", "no", LINUX},
    {"a directory is cloned by one call", "ext4", "no", LINUX},
    {"a directory is cloned by one call", "tmpfs", "no", LINUX},
    {"a directory is cloned by one call", "ext4", refused, DARWIN},
    {"a directory is cloned by one call", "tmpfs", refused, DARWIN},
    {"names may be any bytes", NULL, malformed, DARWIN},
    {"file capabilities", NULL, refused, DARWIN},
    {"extended attributes of 64 KiB", "btrfs", too_big, BOTH},
    {"extended attributes of 64 KiB", "ext4", too_big, BOTH},
    {"extended attributes of 64 KiB", "tmpfs", NULL, BOTH},
    {"extended attributes", "tmpfs", NULL, BOTH},
    {"immutable files", "tmpfs", NULL, BOTH},
    /* The driver that Linux has. */
    {"file system", "apfs", "apfs", LINUX},
    {"it can be seen that a clone shares its data", "apfs", refused, LINUX},
    {"a directory is cloned by one call", "apfs", "no", LINUX},
    {"names may differ by case", "apfs-ci", "no", LINUX},
    {"names may differ by Unicode normalisation", "apfs", "no", LINUX},
    {"extended attributes", "apfs", refused, LINUX},
    {"extended attributes of 64 KiB", "apfs", refused, LINUX},
    {"access control lists", "apfs", refused, LINUX},
    {"file capabilities", "apfs", refused, LINUX},
    {"holes are kept", "apfs", "no", LINUX},
    {"two names are exchanged by one call", "apfs", "no: Invalid argument", LINUX},
};

struct hearing {
    const char *kind;
    unsigned count;
};

static bool applies(const struct expected *line, const char *kind)
{
    enum platform here = platform_is_darwin() ? DARWIN : LINUX;
    return (!line->kind || strncmp(line->kind, kind, strlen(line->kind)) == 0) &&
           (line->platform == BOTH || line->platform == here);
}

static void hear(void *context, const char *fact, const char *answer)
{
    struct hearing *hearing = context;
    if (platform_is_darwin() && hearing->count >= FACTS)
        return; /* what macOS alone is asked: tests/darwin/test_facts.c */
    const char *wanted = hearing->count++ == 0 ? hearing->kind : "yes";
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strcmp(expected[i].fact, fact) == 0 && applies(&expected[i], hearing->kind))
            wanted = expected[i].answer;
    if (wanted && strcmp(answer, wanted) != 0)
        fail_msg("%s, %s: %s, not %s", hearing->kind, fact, answer, wanted);
}

static void the_answers_are_known(void **state)
{
    const struct volume_fixture *fixture = volume_fixture(state);
    struct hearing hearing = {.kind = fixture->kind};
    assert_int_equal(tree_facts(fixture->fd, hear, &hearing, NULL), 0);
    assert_int_equal(hearing.count, FACTS);
    char name[64];
    (void) snprintf(name, sizeof name, ".clonefs-probe.%ld", (long) getpid());
    owned(fd_close) int left = fd_open_dir(fixture->fd, name);
    assert_int_equal(left, -1);
}

static void nothing_to_ask_is_an_error(void **state)
{
    (void) state;
    struct error error = {0};
    struct hearing hearing = {.kind = ""};
    assert_int_equal(tree_facts(-1, hear, &hearing, &error), ERROR_IO);
    assert_int_equal(hearing.count, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(the_answers_are_known),
    };
    const struct CMUnitTest elsewhere[] = {
        cmocka_unit_test(nothing_to_ask_is_an_error),
    };
    int failed = cmocka_run_group_tests(elsewhere, NULL, NULL);
    failed += cmocka_run_group_tests(tests, volume_fixture_xfs, volume_fixture_unmount);
    failed += cmocka_run_group_tests(tests, volume_fixture_btrfs, volume_fixture_unmount);
    failed += cmocka_run_group_tests(tests, volume_fixture_ext4, volume_fixture_unmount);
    return failed + cmocka_run_group_tests(tests, volume_fixture_tmpfs, volume_fixture_unmount);
}
