/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>
#include <sys/stat.h>

#include "tests/unit/volume_fixture.h"

/* For the tests of this folder alone, no part of the emulation. What its calls refuse fails the
 * test. path is relative to dirfd; a symlink is not followed. */

/* A VOLUME_TEST with all losses as at first, before and after. */
int fixture_set_up(void **state);
int fixture_tear_down(void **state);
#define LOSSES_TEST(test) cmocka_unit_test_setup_teardown(test, fixture_set_up, fixture_tear_down)

/* The text of an ACL with one entry: a user may read. */
extern const char fixture_acl[];

/* For reading; close it. */
int fixture_open(int dirfd, const char *path);

/* A new file; its content is path. */
void fixture_make_file(int dirfd, const char *path, mode_t mode);

struct stat fixture_stat(int dirfd, const char *path);

/* Gives it fixture_acl. */
void fixture_set_acl(int dirfd, const char *path);
void fixture_set_flags(int dirfd, const char *path, uint32_t flags);

/* Access and modification, and one and two nanoseconds. */
void fixture_set_time(int dirfd, const char *path, long seconds);
