/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/cancel.h"
#include "base/error.h"
#include "tree/walk_dir.h"

/*
 * Walks two trees side by side, depth first, the names of each directory in byte order: the order
 * of containerd's walk, where "/" sorts before every other byte. It goes down where it is told to.
 * Directories are reached as tree/walk_dir.h says, so paths may be of any length, descriptors are
 * bounded, mount points are never crossed and links never followed. Memory: the names of one
 * directory for each level, of both trees. Belongs to one thread.
 */
struct pair_walk;

/* What is known of a directory of the right tree. */
struct pair_scope {
    bool in_left;    /* the left tree has a directory of that path too */
    bool same_names; /* it has the very same entries, so it is not read */
};

/* An entry of one tree or of both. */
struct pair {
    const char *name;     /* borrowed until the directory is left */
    struct walk_dir *dir; /* of the right tree; in use until the next call for the walk */
    struct pair_scope scope;
    bool in_left; /* with scope.same_names: not looked up */
    bool in_right;
};

/* Opens the roots anew: the descriptors stay the caller's, and where they were read does not
 * matter. left_fd -1: the empty tree. cancel may be NULL. */
int pair_walk_open(int left_fd, int right_fd, struct pair_scope scope, const struct cancel *cancel,
                   struct pair_walk **out_walk, struct error *error);

/* For owned(); NULL is allowed. */
void pair_walk_clear(struct pair_walk **walk);

/* The next entry: 1, 0 at the end, or an error code: ERROR_CANCELLED, ERROR_PRECONDITION, ERROR_IO.
 */
int pair_walk_next(struct pair_walk *walk, struct pair *out_pair, struct error *error);

/* The left tree's directory of the last entry, opened if it was not; it stays so until the next
 * call of next or enter. */
int pair_walk_left_fd(struct pair_walk *walk, int *out_fd, struct error *error);

/* Has the directory, which is the last entry, visited next. *out_dir is that of the right tree. */
int pair_walk_enter(struct pair_walk *walk, struct pair_scope scope, struct walk_dir **out_dir,
                    struct error *error);

/* Directories of the right tree: keeps one known; opens one (see walk_dir_use). */
void pair_walk_ref(struct walk_dir *dir);
void pair_walk_unref(struct pair_walk *walk, struct walk_dir *dir);
int pair_walk_use(struct pair_walk *walk, struct walk_dir *dir, struct error *error);
void pair_walk_unuse(struct pair_walk *walk, struct walk_dir *dir);
