/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "tests/unit/volume.h"

/* A volume for a group of cmocka tests, with an empty directory for each of them. */
struct volume_fixture {
    const char *kind; /* see volume_mount */
    char *volume;     /* NULL: the machine has no such volume, and the tests are skipped */
    int volume_fd;
    char *path; /* of the directory of one test */
    int fd;
};

/* For the group, one of: mounts a volume of that kind and sets *state to its fixture. Always 0. */
int volume_fixture_xfs(void **state);
int volume_fixture_btrfs(void **state);
int volume_fixture_ext4(void **state);
int volume_fixture_tmpfs(void **state);
int volume_fixture_fold(void **state);
int volume_fixture_unmount(void **state);

/* For each test: makes its directory; removes it by tree_remove, which must succeed. */
int volume_fixture_set_up(void **state);
int volume_fixture_tear_down(void **state);

/* For use in a test: the fixture; skips the test when there is no volume. */
const struct volume_fixture *volume_fixture(void **state);

/* The same; skips the test where volumes of this kind lack the feature, too. */
const struct volume_fixture *volume_fixture_with(void **state, enum volume_feature feature);

#define VOLUME_TEST(test)                                                                          \
    cmocka_unit_test_setup_teardown(test, volume_fixture_set_up, volume_fixture_tear_down)
