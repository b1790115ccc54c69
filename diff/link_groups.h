/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "diff/pair_walk.h"
#include "tree/inode_map.h"
#include "tree/os.h"

/*
 * Hard-link groups of the right tree, as far as the walk came. A layer has a group either whole or
 * not at all: an unchanged name is remembered, and as soon as one of its group gets into the layer,
 * all others are links to it, those before as those after.
 *
 * Names that stay out of the layer keep the inodes that the left tree has there, so those have to
 * be grouped alike; a name where they are not counts as changed. (containerd does not look at
 * that.)
 */
struct link_name {
    struct link_name *next;
    struct walk_dir *dir; /* referenced */
    char name[];
};

struct link_group {
    struct link_group *older; /* among all groups */
    char *path; /* of the name that is the file in the layer; NULL as long as none is */
    struct link_name *first; /* remembered names, in the order of the walk */
    struct link_name *last;
    bool has_left; /* an inode of the left tree belongs to it */
    bool read;     /* for the user: its data was read */
};

struct link_groups {
    struct pair_walk *walk; /* must outlive the groups */
    struct inode_map right; /* the group of an inode */
    struct inode_map left;
    struct link_group *newest;
};

void link_groups_init(struct link_groups *groups, struct pair_walk *walk);
void link_groups_clear(struct link_groups *groups);

/* The group of an inode of the right tree, made if it is new. */
struct link_group *link_groups_of(struct link_groups *groups, const struct os_stat *right);

/* What is known of the inode that the left tree has at a name of the group. */
enum link_relation {
    LINK_UNKNOWN, /* neither was met with another partner so far */
    LINK_SAME,    /* they were met as the same before */
    LINK_OTHER    /* one of them belongs to another inode of the other tree */
};
enum link_relation link_groups_relation(const struct link_groups *groups,
                                        const struct link_group *group, const struct os_stat *left);

/* Says that the name of both inodes is the same; they are LINK_UNKNOWN so far. */
void link_groups_relate(struct link_groups *groups, struct link_group *group,
                        const struct os_stat *left);

/* Remembers an unchanged name of the group. */
void link_groups_remember(struct link_group *group, struct walk_dir *dir, const char *name);

/* Forgets the names remembered. */
void link_groups_forget(struct link_groups *groups, struct link_group *group);
