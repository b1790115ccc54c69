/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "tests/darwin/losses.h"
#include "tests/unit/volume_fixture.h"
#include "tree/facts.h"

/* What macOS alone is asked by clonefsd --probe, answered by the emulation; the other questions are
 * in tests/unit/test_tree_facts.c. Most answers are what is expected of a Mac, too. */

enum { COMMON_FACTS = 27, FACTS = COMMON_FACTS + 85 };

static const unsigned all_losses = LOSS_CLONE_SET_ID | LOSS_CLONE_ACL | LOSS_TREE_LINKS |
                                   LOSS_TREE_SET_ID | LOSS_TREE_TIMES | LOSS_TREE_ACLS |
                                   LOSS_TREE_SPECIAL | LOSS_CLONE_FLAGS | LOSS_BSD_GROUP |
                                   LOSS_LENGTHS | LOSS_PROVENANCE;

static const char invalid[] = "no: Invalid argument";

/* What is not "yes" everywhere, and the loss that answers so; 0: it is not switched. */
static const struct expected {
    const char *fact;
    const char *answer;
    unsigned loss;
    const char *answer_without;
} expected[] = {
    {"a clone keeps setuid", "no", LOSS_CLONE_SET_ID, "yes"},
    {"a clone keeps setgid", "no", LOSS_CLONE_SET_ID, "yes"},
    {"a clone keeps the change time", "no", 0, NULL},
    {"a clone keeps an immutable flag", "yes", LOSS_CLONE_FLAGS, "no"},
    {"a clone keeps an append-only flag", "yes", LOSS_CLONE_FLAGS, "no"},
    {"a clone keeps a hidden flag", "yes", LOSS_CLONE_FLAGS, "no"},
    {"a clone keeps the ACL", "no", LOSS_CLONE_ACL, "yes"},
    {"FIFOs are cloned", invalid, 0, NULL},
    {"sockets are cloned", invalid, 0, NULL},
    {"devices are cloned", invalid, 0, NULL},
    {"a clone replaces a file that has its name", "no: File exists", 0, NULL},
    {"a directory clone keeps hard links", "no", LOSS_TREE_LINKS, "yes"},
    {"a directory clone keeps set-id bits of files", "no", LOSS_TREE_SET_ID, "yes"},
    {"a directory clone keeps times of other directories", "no", LOSS_TREE_TIMES, "yes"},
    {"a directory clone keeps the time of its root", "no", LOSS_TREE_TIMES, "yes"},
    {"a directory clone keeps immutable flags", "yes", LOSS_CLONE_FLAGS, "no"},
    {"a directory clone keeps ACLs below its root", "no", LOSS_TREE_ACLS, "yes"},
    {"a directory clone keeps ACLs below its root if asked", "no", LOSS_TREE_ACLS, "yes"},
    {"a directory clone keeps FIFOs", invalid, LOSS_TREE_SPECIAL, "yes"},
    {"a directory clone keeps sockets", invalid, LOSS_TREE_SPECIAL, "yes"},
    {"a directory clone keeps devices", invalid, LOSS_TREE_SPECIAL, "yes"},
    {"empty files have clone ids", "no", 0, NULL},
    {"files that are no clones have one clone id", "no", 0, NULL},
    {"files of one byte that are no clones have one clone id", "no", 0, NULL},
    {"empty files that are no clones have one clone id", "no", 0, NULL},
    {"a file without extended attributes says so", "no", 0, NULL}, /* not emulated */
    {"a file with extended attributes says that it has none", "no", 0, NULL},
    {"a new file says that it may share data", "no", 0, NULL},
    {"symlinks have ACLs, by a handle", "no: Operation not supported", 0, NULL},
    {"symlinks have modes", "no", 0, NULL}, /* not emulated */
    {"names of extended attributes may have 128 bytes", "no: File name too long", LOSS_LENGTHS,
     "yes"},
    {"new files have extended attributes by themselves", "yes", LOSS_PROVENANCE, "no"},
    {"new files get the group of their folder", "yes", LOSS_BSD_GROUP, "no"},
};

struct hearing {
    bool has_losses;
    unsigned count;
    unsigned wrong;
};

static void hear(void *context, const char *fact, const char *answer)
{
    struct hearing *hearing = context;
    const char *wanted = "yes";
    if (hearing->count++ < COMMON_FACTS)
        return;
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        if (strcmp(expected[i].fact, fact) == 0)
            wanted = hearing->has_losses || !expected[i].loss ? expected[i].answer
                                                              : expected[i].answer_without;
    if (strcmp(answer, wanted) == 0)
        return;
    print_error("%s: %s, not %s\n", fact, answer, wanted);
    hearing->wrong++;
}

static void ask(void **state, bool has_losses)
{
    struct hearing hearing = {.has_losses = has_losses};
    darwin_losses_reset();
    darwin_losses_set(all_losses, has_losses);
    int rc = tree_facts(volume_fixture(state)->fd, hear, &hearing, NULL);
    darwin_losses_reset();
    assert_int_equal(rc, 0);
    assert_int_equal(hearing.count, FACTS);
    assert_int_equal(hearing.wrong, 0);
}

static void the_answers_are_known(void **state)
{
    ask(state, true);
}

static void each_loss_is_an_answer(void **state)
{
    ask(state, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        VOLUME_TEST(the_answers_are_known),
        VOLUME_TEST(each_loss_is_an_answer),
    };
    return cmocka_run_group_tests_name("facts of macOS on XFS", tests, volume_fixture_xfs,
                                       volume_fixture_unmount);
}
