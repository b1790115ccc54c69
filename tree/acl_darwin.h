/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * macOS keeps ACLs apart from extended attributes. Here they are one all the same, as they are on
 * Linux and in AppleDouble files: the attribute ACL_ATTRIBUTE, of which os_xattr_list and the
 * others know. Its value is the text of acl_to_text(3) without the names that this machine has for
 * users and groups, since only their GUIDs count. Descriptors may be handles.
 */
#define ACL_ATTRIBUTE "com.apple.acl.text"

/* True if there is an ACL. */
bool acl_text_exists(int fd);

/* As fgetxattr(2). */
ssize_t acl_text_get(int fd, void *text, size_t size);

/* Sets the ACL that text describes, which need not end with NUL. -1 and errno: EOPNOTSUPP also for
 * what is no ACL. */
int acl_text_set(int fd, const void *text, size_t size);

/* Removes the ACL, if there is one. */
int acl_text_remove(int fd);
