/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/darwin/losses.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OFF_AT_FIRST = LOSS_TREE_SPECIAL_DROPPED | LOSS_TREE | LOSS_TREE_BIRTHS };

static const struct {
    const char *name;
    unsigned loss;
} names[] = {
    {"CLONE_SET_ID", LOSS_CLONE_SET_ID},
    {"CLONE_ACL", LOSS_CLONE_ACL},
    {"TREE_LINKS", LOSS_TREE_LINKS},
    {"TREE_SET_ID", LOSS_TREE_SET_ID},
    {"TREE_TIMES", LOSS_TREE_TIMES},
    {"TREE_ACLS", LOSS_TREE_ACLS},
    {"TREE_SPECIAL", LOSS_TREE_SPECIAL},
    {"TREE_SPECIAL_DROPPED", LOSS_TREE_SPECIAL_DROPPED},
    {"CLONE_FLAGS", LOSS_CLONE_FLAGS},
    {"CHOWN_SET_ID", LOSS_CHOWN_SET_ID},
    {"BSD_GROUP", LOSS_BSD_GROUP},
    {"NAMES", LOSS_NAMES},
    {"LENGTHS", LOSS_LENGTHS},
    {"PROVENANCE", LOSS_PROVENANCE},
    {"TREE", LOSS_TREE},
    {"ACL_INHERITED", LOSS_ACL_INHERITED},
    {"TREE_BIRTHS", LOSS_TREE_BIRTHS},
};

static atomic_uint losses;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static unsigned find(const char *name, size_t length)
{
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strlen(names[i].name) == length && memcmp(names[i].name, name, length) == 0)
            return names[i].loss;
    fprintf(stderr, "CLONEFS_DARWIN_LOSSES: no loss %.*s\n", (int) length, name);
    abort();
}

static void read_environment(void)
{
    const char *text = getenv("CLONEFS_DARWIN_LOSSES");
    unsigned found = ~(unsigned) OFF_AT_FIRST;
    while (text && *text) {
        size_t length = strcspn(text, ",");
        unsigned loss = find(text + 1, length > 0 ? length - 1 : 0);
        found = *text == '-' ? found & ~loss : found | loss;
        text += length + (text[length] == ',');
    }
    atomic_store(&losses, found);
}

void darwin_losses_reset(void)
{
    (void) pthread_once(&once, read_environment);
    read_environment();
}

void darwin_losses_set(unsigned which, bool on)
{
    (void) pthread_once(&once, read_environment);
    if (on)
        atomic_fetch_or(&losses, which);
    else
        atomic_fetch_and(&losses, ~which);
}

bool darwin_has_loss(enum darwin_loss loss)
{
    (void) pthread_once(&once, read_environment);
    return (atomic_load(&losses) & (unsigned) loss) != 0;
}
