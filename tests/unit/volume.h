/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fresh file systems for tests, in a loop file below $TMPDIR (/tmp). They are mounted in a mount
 * namespace that the test program makes for itself and its children, and the loop device and the
 * file go with the mount: nothing stays behind, however the test ends.
 */

/*
 * Makes and mounts a volume of kind "xfs" (with reflinks), "btrfs", "ext4" or "tmpfs"; size_mib is
 * at least 320. "fold" is one whose names fold (tests/unit/fold_volume.h). Returns its directory,
 * or NULL after printing "skip: REASON" where the machine lacks something. Call it before the
 * program starts threads.
 */
char *volume_mount(const char *kind, unsigned size_mib);

/* Unmounts the volume and frees its path; NULL is allowed. */
void volume_unmount(char *take_path);
