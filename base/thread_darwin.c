/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <pthread/qos.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "base/mem.h"
#include "base/thread.h"

#define STACK_BYTES ((size_t) 512 << 10)

/* A thread can name none but itself. */
struct beginning {
    char name[16];
    void *(*run)(void *);
    void *argument;
};

static void *begin(void *argument)
{
    struct beginning beginning = *(struct beginning *) argument;
    free(argument);
    (void) pthread_setname_np(beginning.name);
    return beginning.run(beginning.argument);
}

int thread_start(pthread_t *out_thread, const char *name, void *(*run)(void *), void *argument,
                 struct error *error)
{
    pthread_attr_t attributes;
    struct beginning *beginning = mem_alloc(sizeof *beginning);
    (void) strlcpy(beginning->name, name, sizeof beginning->name);
    beginning->run = run;
    beginning->argument = argument;
    (void) pthread_attr_init(&attributes);
    (void) pthread_attr_setstacksize(&attributes, STACK_BYTES);
    (void) pthread_attr_set_qos_class_np(&attributes, qos_class_self(), 0);
    int rc = pthread_create(out_thread, &attributes, begin, beginning);
    (void) pthread_attr_destroy(&attributes);
    if (rc != 0) {
        free(beginning);
        errno = rc;
        return error_errno(error, "cannot start the thread %s", name);
    }
    return 0;
}

/* Threads have classes instead of nice values; the lowest is throttled in its input and output. */
void thread_lower_priority(int nice_value)
{
    if (nice_value > 0)
        (void) pthread_set_qos_class_self_np(QOS_CLASS_UTILITY, 0);
}

void thread_run_in_background(void)
{
    (void) pthread_set_qos_class_self_np(QOS_CLASS_BACKGROUND, 0);
    (void) setiopolicy_np(IOPOL_TYPE_DISK, IOPOL_SCOPE_THREAD, IOPOL_THROTTLE);
}
