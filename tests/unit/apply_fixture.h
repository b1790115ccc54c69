/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "diff/apply.h"
#include "tests/unit/layer_tar.h"

/* A directory to apply archives to, "root" in the test's own directory of a volume_fixture. */
struct apply_fixture {
    int dir_fd;  /* the test's own directory, around root */
    int root_fd; /* "root" in it */
    struct layer_tar tar;
    struct layer_apply_options options; /* defaults; the test may change them */
    struct layer_apply_result result;
    struct error error;
    bool without_layer; /* no layer is made of what an archive does, and put onto what was before */
};

/* For the groups of tests that are run once more as if names folded on the volume: there they do
 * not, and so the result has to be the same. */
extern bool apply_fixture_folds;

/* Makes the fixture of one test, or skips it where there is no volume. */
void apply_fixture_make(struct apply_fixture *fixture, void **state);
void apply_fixture_clear(struct apply_fixture *fixture);
#define APPLY_FIXTURE(fixture, state)                                                              \
    owned(apply_fixture_clear) struct apply_fixture fixture;                                       \
    apply_fixture_make(&fixture, state)

/* Applies the archive, which it ends first, and empties the builder. Returns what layer_apply says.
 */
int apply_archive(struct apply_fixture *fixture);

/* The same without the two blocks at the end. */
int apply_bytes(struct apply_fixture *fixture);

/* Fails the test unless it works. */
void apply_well(struct apply_fixture *fixture);

/* Fails the test unless it answers code with a message that has text in it. */
void apply_badly(struct apply_fixture *fixture, int code, const char *text);

/* Look at the result; path is below the root. */
bool apply_exists(const struct apply_fixture *fixture, const char *path);
struct stat apply_stat(const struct apply_fixture *fixture, const char *path);
void assert_content(const struct apply_fixture *fixture, const char *path, const char *content);
void assert_target(const struct apply_fixture *fixture, const char *path, const char *target);
