/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/pair_walk.h"

#include <assert.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "diff/listing.h"
#include "tree/os.h"
#include "tree/walk.h"

enum { LEFT, RIGHT, SIDES };

/* A directory on the way from the root to where the walk is. */
struct level {
    struct walk_dir *dirs[SIDES]; /* referenced; LEFT is NULL if there is none */
    bool used[SIDES];
    struct listing listings[SIDES];
    const char *name; /* of the last entry */
    struct pair_scope scope;
};

struct pair_walk {
    const struct cancel *cancel;
    struct walk_dir_pool pools[SIDES];
    struct dir_stream stream;
    struct level *levels; /* the last one is the deepest */
    size_t depth;
    size_t capacity;
};

static struct level *deepest(struct pair_walk *walk)
{
    return &walk->levels[walk->depth - 1];
}

static void unref(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    while (dir && atomic_fetch_sub(&dir->references, 1) == 1) {
        struct walk_dir *parent = dir->parent;
        walk_dir_free(pool, dir);
        dir = parent;
    }
}

static int wrap_dir(const struct walk_dir *dir, int code, struct error *error)
{
    owned(mem_free) char *path = walk_dir_describe(dir, "");
    (void) error_wrap(error, "%s", path[0] ? path : ".");
    return code;
}

static int use_side(struct pair_walk *walk, struct level *level, int side, struct error *error)
{
    assert(level->dirs[side]);
    if (level->used[side])
        return 0;
    if (walk_dir_use(&walk->pools[side], level->dirs[side]) != 0)
        return wrap_dir(level->dirs[side], walk_open_error(error), error);
    level->used[side] = true;
    return 0;
}

static void unuse_sides(struct pair_walk *walk, struct level *level)
{
    for (int side = LEFT; side < SIDES; side++) {
        if (level->used[side])
            walk_dir_unuse(&walk->pools[side], level->dirs[side]);
        level->used[side] = false;
    }
}

static int read_names(struct pair_walk *walk, struct level *level, int side, struct error *error)
{
    int code = use_side(walk, level, side, error);
    if (code != 0)
        return code;
    code = listing_read(&level->listings[side], &walk->stream, level->dirs[side]->fds[0],
                        walk->cancel, error);
    return code == 0 ? 0 : wrap_dir(level->dirs[side], code, error);
}

static struct level *push(struct pair_walk *walk, struct pair_scope scope)
{
    if (walk->depth == walk->capacity) {
        walk->capacity = walk->capacity ? 2 * walk->capacity : 16;
        walk->levels = mem_resize(walk->levels, walk->capacity, sizeof *walk->levels);
    }
    struct level *level = &walk->levels[walk->depth++];
    *level = (struct level){.scope = scope};
    return level;
}

static void pop(struct pair_walk *walk)
{
    struct level *level = deepest(walk);
    unuse_sides(walk, level);
    for (int side = LEFT; side < SIDES; side++) {
        listing_clear(&level->listings[side]);
        unref(&walk->pools[side], level->dirs[side]);
    }
    walk->depth--;
}

static int read_level(struct pair_walk *walk, struct level *level, struct error *error)
{
    int code = read_names(walk, level, RIGHT, error);
    if (code == 0 && level->scope.in_left && !level->scope.same_names)
        code = read_names(walk, level, LEFT, error);
    return code;
}

static int open_root(struct pair_walk *walk, struct level *level, int side, int fd,
                     struct error *error)
{
    int root_fd = os_open_dir(fd, ".");
    if (root_fd < 0)
        return error_errno(error, "cannot open the root of the %s tree",
                           side == LEFT ? "left" : "right");
    level->dirs[side] = walk_dir_new_root(&walk->pools[side], (int[]){root_fd, -1});
    return 0;
}

int pair_walk_open(int left_fd, int right_fd, struct pair_scope scope, const struct cancel *cancel,
                   struct pair_walk **out_walk, struct error *error)
{
    owned(pair_walk_clear) struct pair_walk *walk = mem_alloc(sizeof *walk);
    walk->cancel = cancel;
    dir_stream_init(&walk->stream);
    for (int side = LEFT; side < SIDES; side++)
        walk_dir_pool_init(&walk->pools[side], 1);
    struct level *level = push(walk, scope);
    int code = open_root(walk, level, RIGHT, right_fd, error);
    if (code == 0 && scope.in_left)
        code = open_root(walk, level, LEFT, left_fd, error);
    if (code == 0)
        code = read_level(walk, level, error);
    if (code != 0)
        return code;
    *out_walk = walk;
    walk = NULL;
    return 0;
}

void pair_walk_clear(struct pair_walk **walk_address)
{
    struct pair_walk *walk = *walk_address;
    if (!walk)
        return;
    while (walk->depth > 0)
        pop(walk);
    for (int side = LEFT; side < SIDES; side++)
        walk_dir_pool_clear(&walk->pools[side]);
    dir_stream_clear(&walk->stream);
    mem_free(&walk->levels);
    mem_free(walk_address);
}

/* Takes the next name of the level; false at its end. */
static bool take_name(struct level *level, struct pair *pair)
{
    const char *left = listing_peek(&level->listings[LEFT]);
    const char *right = listing_peek(&level->listings[RIGHT]);
    if (!left && !right)
        return false;
    int order = !left ? 1 : !right ? -1 : strcmp(left, right);
    *pair = (struct pair){
        .name = order < 0 ? left : right,
        .dir = level->dirs[RIGHT],
        .scope = level->scope,
        .in_left = order <= 0 || level->scope.same_names,
        .in_right = order >= 0,
    };
    if (order <= 0)
        listing_take(&level->listings[LEFT]);
    if (order >= 0)
        listing_take(&level->listings[RIGHT]);
    level->name = pair->name;
    return true;
}

int pair_walk_next(struct pair_walk *walk, struct pair *out_pair, struct error *error)
{
    if (cancel_requested(walk->cancel))
        return error_set(error, ERROR_CANCELLED, "asked to stop");
    while (walk->depth > 0 && !take_name(deepest(walk), out_pair))
        pop(walk);
    if (walk->depth == 0)
        return 0;
    int code = use_side(walk, deepest(walk), RIGHT, error);
    return code == 0 ? 1 : code;
}

int pair_walk_left_fd(struct pair_walk *walk, int *out_fd, struct error *error)
{
    struct level *level = deepest(walk);
    assert(level->dirs[LEFT]);
    int code = use_side(walk, level, LEFT, error);
    if (code == 0)
        *out_fd = level->dirs[LEFT]->fds[0];
    return code;
}

int pair_walk_enter(struct pair_walk *walk, struct pair_scope scope, struct walk_dir **out_dir,
                    struct error *error)
{
    struct level *child = push(walk, scope);
    struct level *parent = child - 1;
    child->dirs[RIGHT] = walk_dir_new(parent->dirs[RIGHT], parent->name);
    if (scope.in_left)
        child->dirs[LEFT] = walk_dir_new(parent->dirs[LEFT], parent->name);
    int code = read_level(walk, child, error);
    unuse_sides(walk, parent);
    *out_dir = child->dirs[RIGHT];
    return code;
}

void pair_walk_ref(struct walk_dir *dir)
{
    atomic_fetch_add(&dir->references, 1);
}

void pair_walk_unref(struct pair_walk *walk, struct walk_dir *dir)
{
    unref(&walk->pools[RIGHT], dir);
}

int pair_walk_use(struct pair_walk *walk, struct walk_dir *dir, struct error *error)
{
    if (walk_dir_use(&walk->pools[RIGHT], dir) == 0)
        return 0;
    return wrap_dir(dir, walk_open_error(error), error);
}

void pair_walk_unuse(struct pair_walk *walk, struct walk_dir *dir)
{
    walk_dir_unuse(&walk->pools[RIGHT], dir);
}
