/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A volume on which names fold as on APFS, though the kernel here has none: a file system in memory
 * that a child process serves through /dev/fuse (tests/unit/fold_nodes.h). It takes no extended
 * attributes, refuses names that are no UTF-8, and more than FOLD_LINKS_MAX links to a file.
 */

/* Mounts it on the directory. Returns NULL, or why it cannot. The child ends with the mount. */
const char *fold_volume_mount(const char *path);
