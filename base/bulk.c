/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bulk.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "base/journal_pace.h"
#include "base/mem.h"
#include "base/small_calls.h"

enum { MANY = 512 }; /* that takes some 10 ms */

struct bulk {
    int dirfd; /* set once */
    atomic_ullong entries;
    struct journal_pace *pace; /* by the thread that comes to the last of MANY */
};

struct bulk *bulk_begin(int dirfd)
{
    struct bulk *bulk = mem_alloc(sizeof *bulk);
    bulk->dirfd = dirfd;
    return bulk;
}

void bulk_note(struct bulk *bulk)
{
    unsigned long long entries = atomic_fetch_add(&bulk->entries, 1) + 1;
    if (entries == MANY)
        bulk->pace = journal_pace_begin(bulk->dirfd);
    if (entries >= MANY)
        small_calls_give_way();
}

void bulk_end(struct bulk **inout_bulk)
{
    if (!*inout_bulk)
        return;
    journal_pace_end((*inout_bulk)->pace);
    free(*inout_bulk);
    *inout_bulk = NULL;
}
