/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* A tree with one entry of every kind and attribute that a clone has to keep. What the volume or
 * the user cannot make is left out. Aborts the test on any other failure. */

/* Makes the sample as name in dirfd. */
void tree_sample_make(int dirfd, const char *name);

/* Single steps, for tests of their own. path is relative to dirfd. */
void tree_sample_file(int dirfd, const char *path, const char *content);
void tree_sample_dir(int dirfd, const char *path);
void tree_sample_time(int dirfd, const char *path, long seconds, long nanos);

/* Sets FS_..._FL flags besides those that are there; 0, or -1 and errno. */
int tree_sample_flags(int dirfd, const char *path, int flags);

/* A POSIX ACL as its extended attribute: user 1234 may read and execute; the rest by mode. */
size_t tree_sample_acl(unsigned char acl[64]);

/* A file capability, cap_net_bind_service=ep. */
size_t tree_sample_capability(unsigned char capability[32]);
