/* SPDX-License-Identifier: Apache-2.0 */
#include <grpc/grpc.h>
#include <grpc/support/log.h>
#include <pthread.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/thread.h"
#include "rpc/internal.h"

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool started; /* under lock, like the next */
static bool ended;

static void log_core(gpr_log_func_args *args)
{
    if (args->severity == GPR_LOG_SEVERITY_ERROR)
        log_debug("grpc: %s (%s:%d)", args->message, args->file, args->line);
}

static void start(void)
{
    gpr_set_log_function(log_core);
    grpc_init();
    (void) pthread_mutex_lock(&lock);
    started = true;
    (void) pthread_mutex_unlock(&lock);
}

void rpc_core_init(void)
{
    (void) pthread_once(&once, start);
}

static void *shut_down(void *unused)
{
    grpc_shutdown();
    (void) pthread_mutex_lock(&lock);
    ended = true;
    (void) pthread_cond_signal(&changed);
    (void) pthread_mutex_unlock(&lock);
    return unused;
}

bool rpc_core_shut_down(int timeout_ms)
{
    struct timespec deadline = clock_deadline(timeout_ms);
    pthread_t thread;
    int rc = 0;
    (void) pthread_mutex_lock(&lock);
    bool needed = started && !ended;
    (void) pthread_mutex_unlock(&lock);
    if (!needed)
        return true;
    if (thread_start(&thread, "core-end", shut_down, NULL, NULL) != 0)
        return false;
    (void) pthread_mutex_lock(&lock);
    while (!ended && rc == 0)
        rc = pthread_cond_timedwait(&changed, &lock, &deadline);
    bool done = ended;
    (void) pthread_mutex_unlock(&lock);
    if (done)
        (void) pthread_join(thread, NULL);
    else
        (void) pthread_detach(thread);
    return done;
}
