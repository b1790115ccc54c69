/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "tree/spelling.h"

/*
 * Names of a layer that are one entry on this volume, though they differ: README and readme, or an
 * accent in the letter and after it. Elsewhere the layer has two files there, of which one would
 * be lost here without a word.
 *
 * - Two names of one layer: refused at once.
 * - A name of the layer and one of a layer below: refused at the end, unless the layer has a
 *   whiteout for the other name, before or after, so that only one is meant to stay. That is how a
 *   layer renames README to readme. What was there is replaced; directories are not merged.
 * - A name on the way to an entry, or the target of a hard link: refused at once; on other volumes
 *   it is another directory, or missing.
 * - A whiteout that finds an entry of another spelling removes nothing.
 *
 * If allowed, the later one takes the place of the earlier, and directories are merged, which is
 * logged once and counted. Nothing of all this happens on volumes where names are plain bytes.
 */
struct collision_rules {
    struct spelling_rules spelling;
    bool allowed;
};

/* What to do with a name that finds an entry. */
enum collision_answer {
    COLLISION_NONE,     /* as always */
    COLLISION_REFUSED,  /* it is another name of this layer */
    COLLISION_REPLACES, /* it is one of a layer below: replace it, a whiteout must tell that it may
                         */
    COLLISION_ALLOWED
};

/* The rule: the name asked found an entry that is spelled so (NULL: as asked), which this layer
 * made or not. */
enum collision_answer collision_decide(const char *spelled, bool made_here, bool allowed);

struct collision;

/* Those of one layer that need a whiteout. Not locked. */
struct collisions {
    const struct collision_rules
        *rules;          /* the caller's, as max_looked; the rest is zero at first */
    uint64_t max_looked; /* 0 = any */
    uint64_t looked;     /* entries, to find out how they are spelled */
    struct collision *items;
    size_t count;
    size_t capacity;
    uint64_t bytes; /* of memory */
};

/* For owned(); repeatable. */
void collisions_clear(struct collisions *collisions);

/* As spelling_find; 0 at once on volumes that do not fold. ERROR_NO_SPACE for max_looked. */
int collisions_find(struct collisions *collisions, int dirfd, const char *name, char **out_spelling,
                    struct error *error);

/* Notes that path replaced the entry of a layer below called spelled_path. ERROR_PRECONDITION if
 * more than 1024 wait for a whiteout already; ERROR_NO_SPACE if the notes need more than max_bytes;
 * 0 = any. */
int collisions_note(struct collisions *collisions, const char *path, const char *spelled_path,
                    uint64_t max_bytes, struct error *error);

/* A whiteout removed path, or what is below it. */
void collisions_settle(struct collisions *collisions, const char *path);

/* At the end: ERROR_PRECONDITION if a whiteout is missing. */
int collisions_check(const struct collisions *collisions, struct error *error);

/* ERROR_PRECONDITION, with both paths. */
int collision_refuse(const char *path, const char *spelled_path, struct error *error);

/* Logs once that two names were allowed to be one. */
void collision_log(const char *path, const char *spelled_path);
