/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

enum { VOLUME_PATH_SIZE = 4096 };

enum volume_system { VOLUME_ON_LINUX, VOLUME_ON_MACOS };

/* What the system says of a folder and of the volume that it is on. What it does not say, or what
 * there is not on that system, is false. */
struct volume_state {
    enum volume_system system;
    char root[VOLUME_PATH_SIZE];   /* the store's folder, absolute and without links; may not exist
                                      yet */
    char folder[VOLUME_PATH_SIZE]; /* the root, or the folder above it if it does not exist */
    char mount_point[VOLUME_PATH_SIZE];
    char file_system[32]; /* as the system calls it */
    bool read_only;
    bool no_suid;
    bool no_dev;
    bool no_exec;
    bool remote;           /* a server's */
    bool removable;        /* its medium may be taken out */
    bool owners_ignored;   /* chown does nothing */
    bool case_insensitive; /* names that differ by case alone are one */
    bool inherits_acl;     /* what is made in the folder gets entries of its access control list */
    bool indexed;          /* Spotlight reads what is stored */
    bool events_logged;    /* fseventsd writes down each change */
    bool backed_up;        /* Time Machine may take it, and keep it in local snapshots */
};

/* Fills in all but root and folder, which fd is open on (volume_state_linux.c and _darwin.c). */
void volume_state_read(int fd, struct volume_state *state);
