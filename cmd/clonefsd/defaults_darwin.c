/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/clonefsd/defaults.h"

/* The root is a folder of the volume that clonefs-make-volume mounts above it, so that it is not
 * there while that is not mounted. Nothing enforces that a bind mount is read-only, and BuildKit
 * writes where it mounts: a view is a clone. */
const struct defaults defaults = {
    .root = "/private/var/db/clonefs/store",
    .address = "/var/run/clonefs/clonefs.sock",
    .containerd = "/var/run/containerd/containerd.sock",
    .view = SNAPSHOT_VIEW_PRIVATE_CLONE,
};
