/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "base/error.h"
#include "diff/collision.h"
#include "diff/path_set.h"
#include "diff/touched.h"

/*
 * The directories below the root in which entries are made, found by path and kept open for the
 * entries that follow. A path is resolved inside the root component by component, by descriptors:
 * symlinks on the way lead to what they name below the root, 255 of them at most; a mount is never
 * entered. Belongs to one thread.
 *
 * A directory that the archive described (that is in the set unpacked) keeps its times when entries
 * in it are made or removed later: they are noted when it is opened and set again when it is
 * closed. So no list of directories is needed for the end.
 */
struct place {
    int fd;
    uint64_t id; /* entry_path_id of its path without links */
    char *path;  /* that path */
    size_t path_length;
    struct timespec times[2]; /* atime and mtime to be kept */
    bool keeps_times;
    bool changed;  /* since they were set; for the caller to say */
    bool has_acl;  /* which what is made in it may inherit (macOS) */
    uint64_t used; /* when, in turns */
};

/* The path of an entry of the place; free with mem_free. */
char *place_join(const struct place *place, const char *name);

struct places;

/* root_fd, unpacked, collisions and touched stay the caller's. max_depth: components of a path,
 * also of one that links lead to; 0 = any. */
struct places *places_new(int root_fd, unsigned max_depth, const struct path_set *unpacked,
                          struct collisions *collisions, struct touched *touched);

/* For owned(); closes all without setting times. NULL is allowed. */
void places_clear(struct places **places);

/*
 * Finds the directory of a clean path of length bytes. With make, what is missing is made: mode
 * 0755, our own user, the group that the file system gives; else ERROR_NOT_FOUND. ERROR_INVALID for
 * a path through what is no directory or through too many links, ERROR_PRECONDITION for a mount and
 * for a name on the way that finds one of another spelling (if that is allowed, it is taken for
 * it), ERROR_NO_SPACE for max_depth, ERROR_IO. The place stays open until the next call but one, or
 * until the next if places_forget was called.
 */
int places_find(struct places *places, const char *path, size_t length, bool make,
                struct place **out_place, struct error *error);

/* Takes note of a directory that was made or opened as name in parent, which takes its descriptor,
 * and of the times that were set on it. ERROR_IO. */
int places_put(struct places *places, const struct place *parent, const char *name, int take_fd,
               const struct timespec times[2], struct error *error);

/* touched_note of an entry that is there. */
void places_note_touch(struct places *places, const struct place *place, const char *name);

/* To be called after a directory or a symlink was removed: paths may lead elsewhere now. */
void places_forget(struct places *places);

/* Sets the times of all that are open, at the end. ERROR_IO. */
int places_finish(struct places *places, struct error *error);
