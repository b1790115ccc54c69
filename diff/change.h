/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "tree/os.h"

/*
 * Whether an entry that both trees have is another one in the right tree, by containerd's rules
 * (contract 7.5): mode with type, owner, device number, and for all but directories size and
 * modification time; of two times without nanoseconds, as archives make them, the content decides.
 * Finer than containerd: a change of any extended attribute that a layer carries counts, not only
 * of file capabilities; and where the change time tells that a clone was touched, equal times do
 * not vouch for its content, which is compared. Before content is read, the file system is asked
 * whether both files share all of it.
 */
struct changes {
    const struct timestamp *cloned; /* see diff/difference.h; may be NULL */
    const struct cancel *cancel;
    bool reads_all; /* the file system is not asked */
    char *buffers[2];
};

void changes_init(struct changes *changes, const struct timestamp *cloned,
                  const struct cancel *cancel);
void changes_clear(struct changes *changes);

/* True if an inode of the right tree is as it was cloned. */
bool changes_as_cloned(const struct changes *changes, const struct os_stat *right);

/* True if a directory of the right tree has the entries that it was cloned with. left is what it
 * was cloned from: that says more in the moment in which the clone ended, which is too short for
 * the change time, since whatever adds or removes an entry sets the modification time too. */
bool changes_same_names(const struct changes *changes, const struct os_stat *left,
                        const struct os_stat *right);

struct change_side {
    int dirfd;
    struct os_stat stat;
};

/* 1 if the entry name changed, 0 if not, or an error code: ERROR_PRECONDITION if one of the trees
 * changes meanwhile, ERROR_CANCELLED, ERROR_IO. Sets *out_read if data was read. */
int changes_find(struct changes *changes, const char *name, const struct change_side *left,
                 const struct change_side *right, bool *out_read, struct error *error);
