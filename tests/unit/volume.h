/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * Fresh file systems for tests, in a loop file below $TMPDIR (/tmp). They are mounted in a mount
 * namespace that the test program makes for itself and its children, and the loop device and the
 * file go with the mount: nothing stays behind, however the test ends.
 */

/*
 * Where loop devices or the file system are not to be had in this way,
 * CLONEFS_MOUNTED_VOLUME=KIND:DIR names a volume that is mounted already. It takes the place of
 * XFS, and there are no others.
 */

/*
 * Makes and mounts a volume of kind "xfs" (with reflinks), "btrfs", "ext4" or "tmpfs"; size_mib is
 * at least 320. "fold" is one whose names fold (tests/unit/fold_volume.h). Returns its directory,
 * or NULL after printing "skip: REASON" where the machine lacks something. Call it before the
 * program starts threads.
 */
char *volume_mount(const char *kind, unsigned size_mib);

/* What volume_mount mounts for kind: kind itself, or KIND of CLONEFS_MOUNTED_VOLUME, which is valid
 * for as long as the environment is not changed; NULL if it has none for it. */
const char *volume_kind(const char *kind);

enum volume_feature {
    VOLUME_REFLINKS,
    VOLUME_EXTENTS, /* FIEMAP tells what is shared */
    VOLUME_HOLES,
    VOLUME_XATTRS, /* ACLs and file capabilities, too */
};

/* Whether volumes of a kind that volume_mount mounts have it. */
bool volume_has(const char *kind, enum volume_feature feature);

/* Unmounts the volume and frees its path; NULL is allowed. */
void volume_unmount(char *take_path);
