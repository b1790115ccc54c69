/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "diff/layer_system.h"

/*
 * Which extended attributes a layer carries that is made on a system; all others are as if they
 * were not there, also when files are compared. On Linux these are
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
 * macOS has no such spaces of names. There all are carried, the ACL and the names of Linux that an
 * image brought among them, but for what appledouble_is_private and Linux leave out, and the mark
 * that Time Machine is to skip the file.
 */
bool xattr_is_carried(enum layer_system system, const char *name);

/* What a system does with an attribute of a layer. What is left out is logged once, for each
 * reason, and counted. */
enum xattr_answer {
    XATTR_RESTORED,   /* unless the file system refuses it */
    XATTR_TRUSTED,    /* left out: set by the administrator of a machine, on either system */
    XATTR_PRIVATE,    /* left out: it belongs to the Mac that it came from */
    XATTR_UNNAMEABLE, /* left out: the system takes no such name */
    XATTR_ANSWERS
};

enum xattr_answer xattr_restore(enum layer_system system, const char *name);
