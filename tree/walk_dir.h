/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"

/*
 * The directories that a walk knows at one time: those that are still to be read, those being
 * read, and their parents. Each stands for the same directory in one tree, or in two that are
 * walked side by side. A directory is reached by its name from an open parent; only a bounded
 * number of parents is kept open, and one that was closed is opened again by its path from the
 * nearest open ancestor. So neither depth nor width of a tree costs descriptors.
 */
enum { WALK_TREES_MAX = 2 };

struct walk_dir {
    struct walk_dir *parent;         /* set once, referenced; NULL for the root */
    struct walk_dir *below;          /* next in the walk's stack; under the walk's lock */
    uint64_t groups[WALK_TREES_MAX]; /* see walk_enter_at; set once */
    struct walk_dir *older; /* neighbours in the list of idle directories; under the pool's lock */
    struct walk_dir *newer;
    atomic_uint references;  /* one until it is read, one per child, and walk_dir_ref's */
    unsigned users;          /* keep fds open; under the pool's lock */
    int fds[WALK_TREES_MAX]; /* -1 while closed; do not change while in use */
    unsigned readers;        /* threads at work on its entries; under the walk's lock */
    bool stacked;            /* waits in the walk's stack; under the walk's lock */
    bool opened;             /* reading has begun; set by its first reader alone */
    bool complete;           /* read to its end; under the walk's lock */
    atomic_bool marked;      /* for the visitor */
    uint64_t sums[2];        /* for the visitor of a walk in one thread; 0 at first */
    char name[];             /* in the parent; "" for the root; set once */
};

struct walk_dir_pool {
    pthread_mutex_t lock;
    unsigned trees;          /* how many trees are walked side by side; set once */
    struct walk_dir *oldest; /* open directories without users; under lock, as all below */
    struct walk_dir *newest;
    unsigned idle_count;
};

void walk_dir_pool_init(struct walk_dir_pool *pool, unsigned trees);

/* All its directories must have been freed. */
void walk_dir_pool_clear(struct walk_dir_pool *pool);

/* Makes the root over fds, which it takes; it is in use, and so open, for all of its life. */
struct walk_dir *walk_dir_new_root(const struct walk_dir_pool *pool,
                                   const int take_fds[WALK_TREES_MAX]);

/* Makes a closed directory with one reference; takes one of parent. */
struct walk_dir *walk_dir_new(struct walk_dir *parent, const char *name);

/* Closes and frees a directory that has no reference left; its parent's reference is the caller's
 * to drop. */
void walk_dir_free(struct walk_dir_pool *pool, struct walk_dir *dir);

/* Keeps fds open until walk_dir_unuse, opening them if needed. -1 and errno on failure, EXDEV for a
 * mount point. The caller holds a reference. Takes the pool's lock. */
int walk_dir_use(struct walk_dir_pool *pool, struct walk_dir *dir);
void walk_dir_unuse(struct walk_dir_pool *pool, struct walk_dir *dir);

/* The path of an entry (name may be "": dir itself) from the root, byte for byte. The caller frees
 * it with mem_free. */
char *walk_dir_path(const struct walk_dir *dir, const char *name);

/* The path of an entry (name may be "") from the root, for messages: cut at the front when very
 * long, bytes that are not UTF-8 or not printable as \xNN. The caller frees it with mem_free. */
char *walk_dir_describe(const struct walk_dir *dir, const char *name);

/* The same for a path that is there already. */
char *walk_path_describe(const char *path);
