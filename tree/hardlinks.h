/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "base/error.h"
#include "tree/inode_map.h"
#include "tree/os.h"
#include "tree/walk.h"

/*
 * Hard-link groups of a clone. The first thread that meets an inode with several names claims the
 * group, clones the file and publishes where; all others wait for that and link to it.
 */
struct hardlink_group;

struct hardlinks {
    struct walk *walk; /* set once */
    pthread_mutex_t lock;
    pthread_cond_t published;
    struct inode_map groups; /* under lock, as all below */
    struct hardlink_group *newest;
};

void hardlinks_init(struct hardlinks *links, struct walk *walk);

/* No thread of the walk may be left; the walk must still live. */
void hardlinks_clear(struct hardlinks *links);

/* The group of the inode; *out_first tells that the caller must clone it and then publish it. */
struct hardlink_group *hardlinks_claim(struct hardlinks *links, const struct os_stat *origin,
                                       bool *out_first);

/* Says that the clone of the group is name in dir (NULL: it failed); dir is referenced. Immutable
 * and append-only flags that origin has are left to hardlinks_finish, since such a file takes no
 * link. */
void hardlinks_publish(struct hardlinks *links, struct hardlink_group *group, struct walk_dir *dir,
                       const char *name);

/* Links name in dir to the clone of the group, waiting for it if need be. */
int hardlinks_link(struct hardlinks *links, struct hardlink_group *group, struct walk_dir *dir,
                   const char *name, struct error *error);

/* After the walk: sets the flags that would have forbidden links. */
int hardlinks_finish(struct hardlinks *links, struct error *error);
