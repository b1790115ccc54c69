/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/stat.h"
#include "tree/facts_ask.h"

/* Questions that only macOS has: tree/facts_*_darwin.c. */

extern const struct fact_list facts_of_file_clones;
extern const struct fact_list facts_of_tree_clones;
extern const struct fact_list facts_of_sharing;
extern const struct fact_list facts_of_calls;

/* Clones the entry "from", whatever it is, to the new name "to". */
bool fact_clone(int dirfd, uint32_t flags);

/* The entry itself, also if it is a symlink. */
bool fact_look(int dirfd, const char *name, struct stat *out_stat);

/* Both entries, to be compared. */
bool fact_look_at_both(int dirfd, const char *a, const char *b, struct stat out_stats[2]);

static inline bool fact_same_time(const struct timespec *a, const struct timespec *b)
{
    return fact_plainly(a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec);
}

/* A time that nothing gets by itself. */
bool fact_make_old(int dirfd, const char *name);
bool fact_is_old(const struct timespec *time);

/* Makes a file and closes it. */
bool fact_touch(int dirfd, const char *name);

bool fact_make_socket(int dirfd, const char *name);

/* One of the attributes ATTR_CMNEXT_... that are numbers of 64 bits. */
bool fact_number(int fd, uint32_t attribute, uint64_t *out_number);
