/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/walk_dir.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "tree/deep_path.h"

/* Open directories that nobody uses at the moment. */
enum { IDLE_MAX = 32 };

/* A path with more components is opened in two steps. */
enum { HOP = 16 };

/* Of a path in a message. */
enum { DESCRIPTION_MAX = 400 };

void walk_dir_pool_init(struct walk_dir_pool *pool, unsigned trees)
{
    *pool = (struct walk_dir_pool){.lock = PTHREAD_MUTEX_INITIALIZER, .trees = trees};
}

void walk_dir_pool_clear(struct walk_dir_pool *pool)
{
    (void) pthread_mutex_destroy(&pool->lock);
}

static struct walk_dir *new_dir(const char *name)
{
    size_t size = strlen(name) + 1;
    struct walk_dir *dir = mem_alloc(sizeof *dir + size);
    memcpy(dir->name, name, size);
    atomic_init(&dir->references, 1);
    for (unsigned i = 0; i < WALK_TREES_MAX; i++)
        dir->fds[i] = -1;
    return dir;
}

struct walk_dir *walk_dir_new_root(const struct walk_dir_pool *pool,
                                   const int take_fds[WALK_TREES_MAX])
{
    struct walk_dir *root = new_dir("");
    for (unsigned i = 0; i < pool->trees; i++)
        root->fds[i] = take_fds[i];
    root->users = 1;
    return root;
}

struct walk_dir *walk_dir_new(struct walk_dir *parent, const char *name)
{
    struct walk_dir *dir = new_dir(name);
    dir->parent = parent;
    atomic_fetch_add(&parent->references, 1);
    return dir;
}

static bool is_open(const struct walk_dir *dir)
{
    return dir->fds[0] >= 0;
}

static void close_dir(struct walk_dir *dir)
{
    for (unsigned i = 0; i < WALK_TREES_MAX; i++)
        fd_close(&dir->fds[i]);
}

static void leave_idle_list(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    *(dir->older ? &dir->older->newer : &pool->oldest) = dir->newer;
    *(dir->newer ? &dir->newer->older : &pool->newest) = dir->older;
    dir->older = dir->newer = NULL;
    pool->idle_count--;
}

static void enter_idle_list(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    dir->older = pool->newest;
    *(pool->newest ? &pool->newest->newer : &pool->oldest) = dir;
    pool->newest = dir;
    pool->idle_count++;
}

static void begin_use(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    if (dir->users++ == 0)
        leave_idle_list(pool, dir);
}

static void end_use(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    if (--dir->users > 0)
        return;
    enter_idle_list(pool, dir);
    if (pool->idle_count <= IDLE_MAX)
        return;
    struct walk_dir *oldest = pool->oldest;
    leave_idle_list(pool, oldest);
    close_dir(oldest);
}

void walk_dir_free(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    (void) pthread_mutex_lock(&pool->lock);
    if (is_open(dir) && dir->users == 0)
        leave_idle_list(pool, dir);
    (void) pthread_mutex_unlock(&pool->lock);
    close_dir(dir);
    mem_free(&dir);
}

/* The path of the entry name of dir ("": of dir itself) from its ancestor base (NULL: the root). */
static char *path_from(const struct walk_dir *base, const struct walk_dir *dir, const char *name)
{
    size_t size = strlen(name) + 1;
    for (const struct walk_dir *at = dir; at != base && at->parent; at = at->parent)
        size += strlen(at->name) + 1;
    if (size > 1 && !name[0])
        size--; /* no slash at the end */
    char *path = mem_alloc(size);
    char *end = path + size - 1;
    const char *part = name;
    for (const struct walk_dir *at = dir;; at = at->parent) {
        size_t length = strlen(part);
        end -= length;
        memcpy(end, part, length);
        if (at == base || !at->parent)
            return path;
        if (end[0] != '\0')
            *--end = '/';
        part = at->name;
    }
}

static int open_from(const struct walk_dir_pool *pool, const struct walk_dir *base,
                     const struct walk_dir *dir, int out_fds[WALK_TREES_MAX])
{
    owned(mem_free) char *path = path_from(base, dir, "");
    for (unsigned i = 0; i < pool->trees; i++) {
        out_fds[i] = deep_path_open(base->fds[i], path);
        if (out_fds[i] < 0)
            return -1;
    }
    return 0;
}

/* The nearest open ancestor of dir, or dir itself, in use; *out_distance tells how far it is. */
static struct walk_dir *use_nearest_open(struct walk_dir_pool *pool, struct walk_dir *dir,
                                         unsigned *out_distance)
{
    struct walk_dir *base = dir;
    *out_distance = 0;
    (void) pthread_mutex_lock(&pool->lock);
    while (!is_open(base)) {
        base = base->parent;
        (*out_distance)++;
    }
    begin_use(pool, base);
    (void) pthread_mutex_unlock(&pool->lock);
    return base;
}

/* Opens dir and begins its use, and ends that of base. */
static int open_and_use(struct walk_dir_pool *pool, struct walk_dir *base, struct walk_dir *dir)
{
    int fds[WALK_TREES_MAX] = {-1, -1};
    int result = open_from(pool, base, dir, fds);
    int saved = errno;
    (void) pthread_mutex_lock(&pool->lock);
    end_use(pool, base);
    if (result == 0 && is_open(dir)) {
        begin_use(pool, dir); /* another thread was faster */
    } else if (result == 0) {
        dir->users = 1;
        for (unsigned i = 0; i < WALK_TREES_MAX; i++)
            dir->fds[i] = fd_take(&fds[i]);
    }
    (void) pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < WALK_TREES_MAX; i++)
        fd_close(&fds[i]);
    errno = saved;
    return result;
}

int walk_dir_use(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    unsigned distance;
    struct walk_dir *base = use_nearest_open(pool, dir, &distance);
    if (distance > HOP) {
        /* Whoever climbs up a deep tree comes by here at each level: a landing on the way makes the
         * next ones short. */
        struct walk_dir *landing = dir;
        for (unsigned i = 0; i < HOP; i++)
            landing = landing->parent;
        if (open_and_use(pool, base, landing) != 0)
            return -1;
        base = landing;
    }
    return distance == 0 ? 0 : open_and_use(pool, base, dir);
}

void walk_dir_unuse(struct walk_dir_pool *pool, struct walk_dir *dir)
{
    (void) pthread_mutex_lock(&pool->lock);
    end_use(pool, dir);
    (void) pthread_mutex_unlock(&pool->lock);
}

char *walk_dir_path(const struct walk_dir *dir, const char *name)
{
    return path_from(NULL, dir, name);
}

char *walk_dir_describe(const struct walk_dir *dir, const char *name)
{
    owned(mem_free) char *path = path_from(NULL, dir, name);
    return walk_path_describe(path);
}

char *walk_path_describe(const char *path)
{
    size_t length = strlen(path);
    const char *start = length > DESCRIPTION_MAX ? path + length - DESCRIPTION_MAX : path;
    while (start > path && ((unsigned char) *start & 0xc0) == 0x80)
        start++;
    bool utf8 = utf8_valid(start, strlen(start));
    char *text = mem_alloc(4 * strlen(start) + 4);
    char *end = start > path ? stpcpy(text, "...") : text;
    for (const char *at = start; *at; at++) {
        unsigned char byte = (unsigned char) *at;
        if (byte < 0x20 || byte == 0x7f || (byte >= 0x80 && !utf8))
            end += sprintf(end, "\\x%02x", byte);
        else
            *end++ = *at;
    }
    *end = '\0';
    return text;
}
