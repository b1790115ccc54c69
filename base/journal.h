/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The journal of a volume where all files share one: only XFS has such a one here. One file per
 * system. */
struct journal {
    int fd;       /* of an unnamed file, whose flush writes the journal */
    int stats_fd; /* -1: nothing tells who else does that */
};

#define JOURNAL_NULL ((struct journal){-1, -1})

/* The volume of the directory. False where there is no such journal, or no file can be made. */
bool journal_open(int dirfd, struct journal *out_journal);

/* Writes all that was changed on the volume until now, by anybody, to its journal; not what was
 * written to files. 0, or -1 and errno. */
int journal_write(const struct journal *journal);

/* How often it was written since the volume was mounted because anybody flushed something, or the
 * system did, as XFS counts it (xfs(5)); -1 where nothing tells. */
int64_t journal_count_writes(const struct journal *journal);

/* For owned(). */
void journal_close(struct journal *journal);
