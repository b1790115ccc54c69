/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <dirent.h>

#include "base/cancel.h"
#include "base/error.h"
#include "tree/dir_stream.h"
#include "tree/walk_dir.h"

/*
 * Walks a tree, or two side by side, entry by entry, roughly the deepest directory first, in
 * the caller's thread and, once the tree proves big, in others too. Entries are read from the first
 * tree. Nothing is known about the order of two entries but this:
 *
 *   entry  is called for each entry of a directory, by any thread, before
 *   leave  is called once for that directory, in use, when all of its own entries were visited;
 *   done   is called when, in addition, everything below is done; the directory may be closed.
 *
 * The root has entry and leave, never done. A callback returns 0, an error code with error set
 * (the walk prepends the path), or a positive answer that ends the walk early.
 */
struct walk;

struct walk_visitor {
    int (*entry)(void *context, struct walk_dir *dir, const struct dir_entry *entry,
                 struct error *error);
    int (*leave)(void *context, struct walk_dir *dir, struct error *error); /* may be NULL */
    int (*done)(void *context, struct walk_dir *dir, struct error *error);  /* may be NULL */
    /* A directory could not be opened: errno sys. NULL: the walk fails. */
    int (*unopened)(void *context, struct walk_dir *dir, int sys, struct error *error);
};

struct walk_options {
    const struct walk_visitor *visitor;
    void *context; /* for the visitor; shared by all threads */
    const struct cancel *cancel;
    unsigned trees;   /* 1 or 2 */
    unsigned threads; /* at most; 0 = as many as CPUs, 4 at most */
};

/* How many threads an option of so many means. */
unsigned walk_thread_limit(unsigned threads);

/* Makes a walk below the open directories fds, which it takes. Free with walk_free. */
struct walk *walk_new(const struct walk_options *options, const int take_fds[WALK_TREES_MAX]);

/* For owned(walk_clear); frees *walk. No thread of it is left. */
void walk_clear(struct walk **walk);

/* Walks, once. Returns 0, what a callback answered, or ERROR_CANCELLED. */
int walk_run(struct walk *walk, struct error *error);

/* Called by the visitor's entry: has the subdirectory name visited later. */
void walk_enter(struct walk *walk, struct walk_dir *dir, const char *name);

/* The same, and tells the groups (os_group) that the subdirectory is in, in each tree: a thread
 * goes where no other is at work, if one of the next directories is such. */
void walk_enter_at(struct walk *walk, struct walk_dir *dir, const char *name,
                   const uint64_t groups[WALK_TREES_MAX]);

/* What kind of file the entry is, asking the file system if it has to; -1 and errno on failure. */
int walk_entry_type(const struct walk_dir *dir, const struct dir_entry *entry);

/* The root; open as long as the walk lives. */
struct walk_dir *walk_root(struct walk *walk);

/* See walk_dir_use. */
int walk_use(struct walk *walk, struct walk_dir *dir);
void walk_unuse(struct walk *walk, struct walk_dir *dir);

/* Keeps a directory known, so that it can be used later on; not meant for a visitor with done. */
void walk_ref(struct walk_dir *dir);
void walk_unref(struct walk *walk, struct walk_dir *dir);

/* Says what a failed open of an entry during a walk means, by errno: something is mounted there, or
 * it changed meanwhile (both ERROR_PRECONDITION), or the disk failed. Returns the code. */
int walk_open_error(struct error *error);

/* The same for the root of a tree, which is never missing for good reasons: else ERROR_IO. */
int walk_root_error(const char *name, struct error *error);
