/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "diff/difference.h"
#include "tests/unit/volume_fixture.h"

/* Two trees, L and R, in the directory of a test. */
struct difference_trees {
    const struct volume_fixture *fixture;
    int fd;                  /* the directory of the test */
    struct timestamp cloned; /* of difference_clone_left */
};

/* Makes L, empty; skips the test where there is no volume. All below fail it on any error. */
struct difference_trees difference_start(void **state);

/* The clock of a file system ticks every few milliseconds. */
void difference_wait_for_a_tick(void);

/* Makes R a clone of L; what is done then has a later change time, and most of the clone an
 * earlier one than its end. */
void difference_clone_left(struct difference_trees *trees);

/* The layer from left (NULL: the empty tree) to R in fd is as difference_layer_list says it, and
 * read that many files (UINT64_MAX: any number). cloned may be NULL. */
void difference_assert_layer(int fd, const char *left, const struct timestamp *cloned,
                             const char *expected, uint64_t files_read);

/* The layer from L to R, with and without the time of the clone. */
void difference_assert(const struct difference_trees *trees, const char *expected);
