/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The calls for extended attributes; the stubs that one builds with on other systems lack their
 * header.
 */
#if __has_include(<sys/xattr.h>)
#include <sys/xattr.h>
#else
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

ssize_t flistxattr(int fd, char *names, size_t size, int options);
ssize_t fgetxattr(int fd, const char *name, void *value, size_t size, uint32_t position,
                  int options);
int fsetxattr(int fd, const char *name, const void *value, size_t size, uint32_t position,
              int options);
int fremovexattr(int fd, const char *name, int options);

#define XATTR_FINDERINFO_NAME "com.apple.FinderInfo"
#define XATTR_RESOURCEFORK_NAME "com.apple.ResourceFork"
#endif
