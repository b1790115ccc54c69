/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/walk.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tree/os.h"

enum {
    THREADS_DEFAULT_MAX = 4,
    THREADS_MAX = 16,
    /* A smaller tree is finished before another thread would be at work. */
    ENTRIES_BEFORE_THREADS = 512,
    /* Directories that wait, open, for the rest of their entries to be read. */
    SUSPENDED_MAX = 8,
    /* How far down the stack a thread looks for a directory where it is in nobody's way. */
    CHOICES_MAX = 32,
    /* Groups that are told apart; others share a counter. */
    GROUPS_MAX = 64
};

struct walk {
    struct walk_options options; /* set once */
    struct walk_dir_pool pool;
    struct walk_dir *root; /* set once */

    unsigned helper_count; /* the caller's thread alone */
    pthread_t helpers[THREADS_MAX - 1];

    atomic_uint entries_seen;
    atomic_bool stopped; /* an error, or an early end */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct walk_dir *stack; /* under lock, as all below */
    unsigned suspended;     /* directories in the stack that are open and partly read */
    unsigned busy[WALK_TREES_MAX][GROUPS_MAX]; /* threads at work in a group */
    unsigned active;                           /* threads that may still push something */
    int result;
    struct error error;
};

unsigned walk_thread_limit(unsigned threads)
{
    if (threads > 0)
        return threads < THREADS_MAX ? threads : THREADS_MAX;
    long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    if (cpus < 1)
        return 1;
    return cpus < THREADS_DEFAULT_MAX ? (unsigned) cpus : THREADS_DEFAULT_MAX;
}

struct walk *walk_new(const struct walk_options *options, const int take_fds[WALK_TREES_MAX])
{
    struct walk *walk = mem_alloc(sizeof *walk);
    walk->options = *options;
    walk->options.threads = walk_thread_limit(options->threads);
    walk_dir_pool_init(&walk->pool, options->trees);
    (void) pthread_mutex_init(&walk->lock, NULL);
    (void) pthread_cond_init(&walk->changed, NULL);
    walk->root = walk_dir_new_root(&walk->pool, take_fds);
    walk_ref(walk->root);
    walk->stack = walk->root;
    return walk;
}

int walk_entry_type(const struct walk_dir *dir, const struct dir_entry *entry)
{
    struct os_stat found;
    if (entry->type != DT_UNKNOWN)
        return entry->type;
    return os_stat_at(dir->fds[0], entry->name, &found) == 0 ? (int) IFTODT(found.mode) : -1;
}

struct walk_dir *walk_root(struct walk *walk)
{
    return walk->root;
}

int walk_use(struct walk *walk, struct walk_dir *dir)
{
    return walk_dir_use(&walk->pool, dir);
}

void walk_unuse(struct walk *walk, struct walk_dir *dir)
{
    walk_dir_unuse(&walk->pool, dir);
}

void walk_ref(struct walk_dir *dir)
{
    atomic_fetch_add(&dir->references, 1);
}

/* Drops a reference of dir, and those of its ancestors that go with it. */
static int drop(struct walk *walk, struct walk_dir *dir, struct error *error)
{
    int result = 0;
    while (dir && atomic_fetch_sub(&dir->references, 1) == 1) {
        struct walk_dir *parent = dir->parent;
        if (walk->options.visitor->done && result == 0 && !atomic_load(&walk->stopped))
            result = walk->options.visitor->done(walk->options.context, dir, error);
        if (result < 0) {
            owned(mem_free) char *path = walk_dir_describe(dir, "");
            (void) error_wrap(error, "%s", path);
        }
        walk_dir_free(&walk->pool, dir);
        dir = parent;
    }
    return result;
}

void walk_unref(struct walk *walk, struct walk_dir *dir)
{
    (void) drop(walk, dir, NULL);
}

void walk_clear(struct walk **walk_address)
{
    struct walk *walk = *walk_address;
    if (!walk)
        return;
    atomic_store(&walk->stopped, true);
    while (walk->stack) {
        struct walk_dir *dir = walk->stack;
        walk->stack = dir->below;
        walk_unref(walk, dir);
    }
    walk_unref(walk, walk->root);
    walk_dir_pool_clear(&walk->pool);
    (void) pthread_mutex_destroy(&walk->lock);
    (void) pthread_cond_destroy(&walk->changed);
    mem_free(walk_address);
}

/* Under the lock. */
static void push(struct walk *walk, struct walk_dir *dir)
{
    dir->below = walk->stack;
    dir->stacked = true;
    walk->stack = dir;
    (void) pthread_cond_signal(&walk->changed);
}

void walk_enter(struct walk *walk, struct walk_dir *dir, const char *name)
{
    walk_enter_at(walk, dir, name, (const uint64_t[WALK_TREES_MAX]){0});
}

void walk_enter_at(struct walk *walk, struct walk_dir *dir, const char *name,
                   const uint64_t groups[WALK_TREES_MAX])
{
    struct walk_dir *child = walk_dir_new(dir, name);
    memcpy(child->groups, groups, sizeof child->groups);
    (void) pthread_mutex_lock(&walk->lock);
    push(walk, child);
    (void) pthread_mutex_unlock(&walk->lock);
}

/* Lets other threads read on in dir while this one visits a batch of it. It stays open meanwhile,
 * so this is refused when too many do: then the caller reads it to its end. */
static bool suspend(struct walk *walk, struct walk_dir *dir)
{
    (void) pthread_mutex_lock(&walk->lock);
    bool allowed = walk->suspended < SUSPENDED_MAX;
    if (allowed) {
        walk->suspended++;
        push(walk, dir);
    }
    (void) pthread_mutex_unlock(&walk->lock);
    return allowed;
}

static void stop(struct walk *walk, int result, const struct error *error)
{
    (void) pthread_mutex_lock(&walk->lock);
    if (!atomic_load(&walk->stopped)) {
        walk->result = result;
        walk->error = *error;
        atomic_store(&walk->stopped, true);
    }
    (void) pthread_cond_broadcast(&walk->changed);
    (void) pthread_mutex_unlock(&walk->lock);
}

/* Under the lock. */
static unsigned *busy_counter(struct walk *walk, unsigned tree, const struct walk_dir *dir)
{
    return &walk->busy[tree][dir->groups[tree] % GROUPS_MAX];
}

/* How much a thread that works in dir would be in the way of others. What is done to the second
 * tree, which is the one that is made if one is, takes longer. Under the lock. */
static unsigned crowding(struct walk *walk, const struct walk_dir *dir)
{
    unsigned sum = 0;
    for (unsigned i = 0; i < walk->options.trees; i++)
        sum += dir->groups[i] != 0 && *busy_counter(walk, i, dir) > 0 ? i + 1 : 0;
    return sum;
}

/* Where in the stack, which is not empty, the directory is that a thread should take next. Under
 * the lock. */
static struct walk_dir **choose(struct walk *walk)
{
    struct walk_dir **best = &walk->stack;
    struct walk_dir **at = best;
    unsigned least = crowding(walk, *best);
    for (unsigned i = 1; least > 0 && i < CHOICES_MAX && (*at)->below; i++) {
        at = &(*at)->below;
        unsigned here = crowding(walk, *at);
        if (here < least) {
            best = at;
            least = here;
        }
    }
    return best;
}

/* A thread comes to dir or goes. Under the lock. */
static void count_reader(struct walk *walk, struct walk_dir *dir, int difference)
{
    dir->readers += (unsigned) difference;
    for (unsigned i = 0; i < walk->options.trees; i++)
        if (dir->groups[i] != 0)
            *busy_counter(walk, i, dir) += (unsigned) difference;
}

/* Waits for a directory to read; NULL when there will be none. The thread counts as active from
 * then on. */
static struct walk_dir *take_dir(struct walk *walk)
{
    struct walk_dir *dir = NULL;
    (void) pthread_mutex_lock(&walk->lock);
    while (!walk->stack && walk->active > 0 && !atomic_load(&walk->stopped))
        (void) pthread_cond_wait(&walk->changed, &walk->lock);
    if (walk->stack && !atomic_load(&walk->stopped)) {
        struct walk_dir **place = choose(walk);
        dir = *place;
        *place = dir->below;
        walk->suspended -= dir->opened ? 1 : 0;
        walk->active++;
        dir->stacked = false;
        count_reader(walk, dir, 1);
    }
    (void) pthread_mutex_unlock(&walk->lock);
    return dir;
}

/* True for the last reader of a directory, who has to leave it: then *out_complete tells whether it
 * was read to its end. */
static bool end_reading(struct walk *walk, struct walk_dir *dir, bool *out_complete)
{
    (void) pthread_mutex_lock(&walk->lock);
    count_reader(walk, dir, -1);
    bool last = dir->readers == 0 && !dir->stacked;
    *out_complete = dir->complete;
    (void) pthread_mutex_unlock(&walk->lock);
    return last;
}

static void end_activity(struct walk *walk)
{
    (void) pthread_mutex_lock(&walk->lock);
    if (--walk->active == 0)
        (void) pthread_cond_broadcast(&walk->changed);
    (void) pthread_mutex_unlock(&walk->lock);
}

static void mark_complete(struct walk *walk, struct walk_dir *dir)
{
    (void) pthread_mutex_lock(&walk->lock);
    dir->complete = true;
    (void) pthread_mutex_unlock(&walk->lock);
}

static void *help(void *walk);

/* The caller's thread comes by here alone: it is the only one until then. */
static void start_helpers(struct walk *walk)
{
    while (walk->helper_count + 1 < walk->options.threads) {
        pthread_t *helper = &walk->helpers[walk->helper_count];
        if (thread_start(helper, "clonefs-walk", help, walk, NULL) != 0)
            return; /* slower, but nothing is lost */
        walk->helper_count++;
    }
}

static int visit_batch(struct walk *walk, struct dir_stream *stream, struct walk_dir *dir,
                       struct error *error)
{
    const struct walk_visitor *visitor = walk->options.visitor;
    struct dir_entry entry;
    while (dir_stream_next(stream, &entry) && !atomic_load(&walk->stopped)) {
        if (cancel_requested(walk->options.cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        int result = visitor->entry(walk->options.context, dir, &entry, error);
        if (result < 0) {
            owned(mem_free) char *path = walk_dir_describe(dir, entry.name);
            return error_wrap(error, "%s", path);
        }
        if (result > 0)
            return result;
        if (atomic_fetch_add(&walk->entries_seen, 1) + 1 == ENTRIES_BEFORE_THREADS)
            start_helpers(walk);
    }
    return 0;
}

static int read_entries(struct walk *walk, struct dir_stream *stream, struct walk_dir *dir,
                        struct error *error)
{
    for (;;) {
        int more = dir_stream_fill(stream, dir->fds[0]);
        if (more < 0)
            return error_errno(error, "cannot read a directory");
        if (more == 0) {
            mark_complete(walk, dir);
            return 0;
        }
        bool shared = dir_stream_expects_more(stream) && suspend(walk, dir);
        int result = visit_batch(walk, stream, dir, error);
        if (result != 0 || shared)
            return result;
    }
}

int walk_open_error(struct error *error)
{
    if (errno == EXDEV)
        return error_set(error, ERROR_PRECONDITION, "something is mounted here");
    if (errno == ENOENT || errno == ENOTDIR || errno == ELOOP)
        return error_set(error, ERROR_PRECONDITION, "changed while the tree was being read");
    return error_errno(error, "cannot open");
}

int walk_root_error(const char *name, struct error *error)
{
    if (errno == EXDEV)
        return error_set(error, ERROR_PRECONDITION, "something is mounted on %s", name);
    return error_errno(error, "cannot open the tree %s", name);
}

static int open_dir(struct walk *walk, struct walk_dir *dir, bool *out_opened, struct error *error)
{
    const struct walk_visitor *visitor = walk->options.visitor;
    *out_opened = dir->opened || walk_dir_use(&walk->pool, dir) == 0;
    if (*out_opened) {
        dir->opened = true;
        return 0;
    }
    int result = visitor->unopened ? visitor->unopened(walk->options.context, dir, errno, error)
                                   : walk_open_error(error);
    if (result < 0) {
        owned(mem_free) char *path = walk_dir_describe(dir, "");
        (void) error_wrap(error, "%s", path);
    }
    return result;
}

static int leave_dir(struct walk *walk, struct walk_dir *dir, struct error *error)
{
    const struct walk_visitor *visitor = walk->options.visitor;
    int result = visitor->leave ? visitor->leave(walk->options.context, dir, error) : 0;
    if (result < 0) {
        owned(mem_free) char *path = walk_dir_describe(dir, "");
        (void) error_wrap(error, "%s", path);
    }
    walk_dir_unuse(&walk->pool, dir);
    return result;
}

static void visit_dir(struct walk *walk, struct dir_stream *stream, struct walk_dir *dir)
{
    struct error error = {0};
    bool opened = false;
    bool complete = false;
    int result = open_dir(walk, dir, &opened, &error);
    if (result == 0 && opened)
        result = read_entries(walk, stream, dir, &error);
    bool last = end_reading(walk, dir, &complete);
    if (result == 0 && last && complete && !atomic_load(&walk->stopped))
        result = leave_dir(walk, dir, &error);
    if (result != 0)
        stop(walk, result, &error);
    if (!last)
        return;
    result = drop(walk, dir, &error);
    if (result != 0)
        stop(walk, result, &error);
}

static void work(struct walk *walk)
{
    struct dir_stream stream;
    dir_stream_init(&stream);
    for (;;) {
        struct walk_dir *dir = take_dir(walk);
        if (!dir)
            break;
        visit_dir(walk, &stream, dir);
        end_activity(walk);
    }
    dir_stream_clear(&stream);
}

static void *help(void *walk)
{
    work(walk);
    return NULL;
}

int walk_run(struct walk *walk, struct error *error)
{
    work(walk);
    for (unsigned i = 0; i < walk->helper_count; i++)
        (void) pthread_join(walk->helpers[i], NULL);
    if (walk->result < 0 && error)
        *error = walk->error;
    return walk->result;
}
