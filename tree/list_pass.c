/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/list_pass.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/mem.h"
#include "base/thread.h"
#include "tree/walk.h"

enum { THREADS_MAX = 4 };

struct run {
    const struct list_pass *pass;
    atomic_size_t next;
    atomic_bool failed;
    pthread_mutex_t lock;
    int code; /* under lock, as error */
    struct error error;
};

static void fail(struct run *run, int code, const struct error *error)
{
    (void) pthread_mutex_lock(&run->lock);
    if (!atomic_load(&run->failed)) {
        run->code = code;
        run->error = *error;
    }
    atomic_store(&run->failed, true);
    (void) pthread_mutex_unlock(&run->lock);
}

static int take_step(const struct list_pass *pass, size_t place, struct error *error)
{
    if (cancel_requested(pass->cancel))
        return error_set(error, ERROR_CANCELLED, "asked to stop");
    if (fault_point(pass->fault) != 0)
        return error_errno(error, "cannot go on");
    return pass->step(pass->context, place, error);
}

static void take_steps(struct run *run, size_t begin, size_t end)
{
    struct error error = {0};
    for (size_t i = begin; i < end && !atomic_load(&run->failed); i++) {
        int code = take_step(run->pass, i, &error);
        if (code == 0)
            continue;
        owned(mem_free) char *path = walk_path_describe(run->pass->list->items[i].path);
        (void) error_wrap(&error, "%s", path);
        fail(run, code, &error);
    }
}

static void *work(void *context)
{
    struct run *run = context;
    size_t count = run->pass->list->count;
    while (!atomic_load(&run->failed)) {
        size_t begin = atomic_fetch_add(&run->next, LIST_PASS_NEIGHBOURS);
        if (begin >= count)
            break;
        take_steps(run, begin,
                   count - begin < LIST_PASS_NEIGHBOURS ? count : begin + LIST_PASS_NEIGHBOURS);
    }
    return NULL;
}

int list_pass_run(const struct list_pass *pass, struct error *error)
{
    struct run run = {.pass = pass, .lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t helpers[THREADS_MAX];
    unsigned count = 0;
    while (count + 1 < pass->threads && count < THREADS_MAX &&
           ((size_t) count + 1) * 2 * LIST_PASS_NEIGHBOURS < pass->list->count &&
           thread_start(&helpers[count], "clonefs-list", work, &run, NULL) == 0)
        count++;
    (void) work(&run);
    while (count > 0)
        (void) pthread_join(helpers[--count], NULL);
    (void) pthread_mutex_destroy(&run.lock);
    if (run.code != 0 && error)
        *error = run.error;
    return run.code;
}
