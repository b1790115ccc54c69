/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* The questions of tree_facts that every system asks in its own way: facts_linux.c, facts_darwin.c.
 * False and errno (0: a plain no), unless said otherwise. */

/* Writes the name of the file system. */
void facts_file_system(int fd, char *out_name, size_t size);

/* One call clones a whole directory. */
bool facts_clones_directories(int dirfd);

/* After origin_fd was cloned to clone_fd, the system tells that their data is in the same place. */
bool facts_tells_what_is_shared(int origin_fd, int clone_fd);

bool facts_exchange(int dirfd, const char *a, const char *b);

bool facts_set_xattr(int fd, const char *name, const void *value, size_t size);

/* Grants user 12345 reading. */
bool facts_set_acl(int fd);

/* Makes the file executable with a capability. */
bool facts_set_capability(int fd);
