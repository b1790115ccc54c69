/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/thread.h"

#define STACK_BYTES ((size_t) 512 << 10)

int thread_start(pthread_t *out_thread, const char *name, void *(*run)(void *), void *argument,
                 struct error *error)
{
    pthread_attr_t attributes;
    (void) pthread_attr_init(&attributes);
    (void) pthread_attr_setstacksize(&attributes, STACK_BYTES);
    int rc = pthread_create(out_thread, &attributes, run, argument);
    (void) pthread_attr_destroy(&attributes);
    if (rc != 0) {
        errno = rc;
        return error_errno(error, "cannot start the thread %s", name);
    }
    (void) pthread_setname_np(*out_thread, name);
    return 0;
}

/* On Linux nice is a property of the thread, unlike what POSIX says. */
void thread_lower_priority(int nice_value)
{
    (void) setpriority(PRIO_PROCESS, (id_t) gettid(), nice_value);
}

/* ioprio_set(2) has no wrapper, and its constants no header that is always there. */
enum { IOPRIO_OF_THREAD = 1, IOPRIO_IDLE = 3 << 13 };

void thread_run_in_background(void)
{
    thread_lower_priority(19);
    (void) syscall(SYS_ioprio_set, IOPRIO_OF_THREAD, 0, IOPRIO_IDLE);
}
