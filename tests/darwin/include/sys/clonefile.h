/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

/* CLONE_NOFOLLOW_ANY is newer than what we build for: an unknown flag. */
enum { CLONE_NOFOLLOW = 0x1, CLONE_NOOWNERCOPY = 0x2, CLONE_ACL = 0x4 };

int clonefileat(int source_dirfd, const char *source, int dirfd, const char *path, uint32_t flags);
int fclonefileat(int source_fd, int dirfd, const char *path, uint32_t flags);
int clonefile(const char *source, const char *path, uint32_t flags);
