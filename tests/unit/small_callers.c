/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/small_callers.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/small_calls.h"

static void *run(void *argument)
{
    struct small_callers *callers = argument;
    while (!atomic_load(&callers->stop)) {
        small_calls_begin();
        (void) usleep(1000);
        small_calls_end();
    }
    return NULL;
}

void small_callers_start(struct small_callers *callers)
{
    atomic_store(&callers->stop, false);
    assert_int_equal(pthread_create(&callers->thread, NULL, run, callers), 0);
    (void) usleep(2000);
}

void small_callers_stop(struct small_callers *callers)
{
    atomic_store(&callers->stop, true);
    assert_int_equal(pthread_join(callers->thread, NULL), 0);
}
