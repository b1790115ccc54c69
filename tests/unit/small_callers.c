/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/small_callers.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/small_calls.h"

static pthread_t thread;
static atomic_bool stopping;

static void *run(void *unused)
{
    while (!atomic_load(&stopping)) {
        small_calls_begin();
        (void) usleep(1000);
        small_calls_end();
    }
    return unused;
}

void small_callers_start(void)
{
    atomic_store(&stopping, false);
    assert_int_equal(pthread_create(&thread, NULL, run, NULL), 0);
    (void) usleep(2000);
}

void small_callers_stop(void)
{
    atomic_store(&stopping, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
}
