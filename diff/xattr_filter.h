/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Which extended attributes a layer carries; all others are as if they were not there (per system:
 * xattr_filter_linux.c). On Linux these are
 *
 *   security.capability       as containerd does
 *   user.*                    but for user.overlay.*, which would mean something to an overlay
 *                             mount of the layer rather than to the file
 *   system.posix_acl_access, system.posix_acl_default
 *                             without them the group bits of the mode, which are the ACL's mask
 *                             then, would give the owning group what the ACL does not
 *
 * and containerd's applier sets each of them, or goes on where a file system has none. Not carried:
 * trusted.*, which no applier takes; security.selinux and the like, which only this machine knows;
 * a name with "=", which a pax record cannot hold.
 *
 * macOS (xattr_filter_darwin.c) has no such spaces of names. There all are carried, the ACL and the
 * names of Linux that an image brought among them, but for what appledouble_is_private and Linux
 * leave out, and the mark that Time Machine is to skip the file.
 */
bool xattr_is_carried(const char *name);
