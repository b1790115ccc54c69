/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/snapshotter.h"

/* What is so on a system unless somebody says otherwise (defaults_linux.c, defaults_darwin.c). */
struct defaults {
    const char *root;
    const char *address;
    const char *containerd; /* the socket of the one that we call back */
    enum snapshot_view_mode view;
};

extern const struct defaults defaults;
