/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

/* The inodes of a file system in memory whose names fold, for tests: nothing is ever freed but the
 * data of files. One thread. */
struct fold_node {
    uint64_t id;
    mode_t mode;
    uid_t uid;
    gid_t gid;
    uint32_t nlink;
    uint32_t rdev;
    struct timespec atime;
    struct timespec mtime;
    struct timespec ctime;
    char *data; /* of a file; the target of a symlink */
    size_t size;
    struct fold_entry *entries; /* of a directory */
    size_t entry_count;
};

struct fold_entry {
    char *name;
    struct fold_node *node;
};

enum { FOLD_ROOT_ID = 1, FOLD_LINKS_MAX = 8 };

struct fold_node *fold_node_get(uint64_t id);

/* A new inode without a name; the first is the root. */
struct fold_node *fold_node_make(mode_t mode);

/* True if APFS takes both for the same name: ASCII letters of either case, e with an acute accent
 * in one character or two. */
bool fold_equal(const char *a, const char *b);

/* The entry that the name finds, or NULL. */
struct fold_entry *fold_find(const struct fold_node *dir, const char *name);

/* Adds an entry: 0, or a negative errno: -EEXIST, -EILSEQ for what is no UTF-8, -EMLINK. */
int fold_add(struct fold_node *dir, const char *name, struct fold_node *node);

/* Removes it: 0, or -ENOENT, -ENOTEMPTY. */
int fold_remove(struct fold_node *dir, const char *name);

void fold_resize(struct fold_node *node, size_t size);
