/* SPDX-License-Identifier: Apache-2.0 */
#include "cmd/clonefsd/defaults.h"

const struct defaults defaults = {
    .root = "/var/lib/clonefs",
    .address = "/run/clonefs/clonefs.sock",
    .containerd = "/run/containerd/containerd.sock",
    .view = SNAPSHOT_VIEW_READONLY_BIND,
};
