/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/fd.h"
#include "base/sync_group.h"
#include "tests/unit/scratch.h"

enum { THREADS = 16, ROUNDS = 200 };

static struct sync_group group;
static atomic_uint succeeded;
static atomic_uint failed;

static void *flush_often(void *argument)
{
    (void) argument;
    for (int i = 0; i < ROUNDS; i++) {
        errno = 0;
        if (sync_group_flush(&group) == 0)
            atomic_fetch_add(&succeeded, 1);
        else if (errno == EINVAL)
            atomic_fetch_add(&failed, 1);
    }
    return NULL;
}

static void flush_from_many_threads(int fd)
{
    pthread_t threads[THREADS];
    atomic_store(&succeeded, 0);
    atomic_store(&failed, 0);
    sync_group_init(&group, fd);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, flush_often, NULL), 0);
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_null(group.waiting);
    assert_false(group.running);
    sync_group_clear(&group);
}

static void one_caller_flushes(void **state)
{
    (void) state;
    struct scratch scratch;
    scratch_make(&scratch);
    sync_group_init(&group, scratch.fd);
    assert_int_equal(sync_group_flush(&group), 0);
    assert_int_equal(sync_group_flush(&group), 0);
    sync_group_clear(&group);
    scratch_remove(&scratch);
}

static void many_callers_all_return(void **state)
{
    (void) state;
    struct scratch scratch;
    scratch_make(&scratch);
    flush_from_many_threads(scratch.fd);
    assert_int_equal(atomic_load(&succeeded), THREADS * ROUNDS);
    scratch_remove(&scratch);
}

/* A pipe cannot be flushed. */
static void a_failure_reaches_all_who_wait_for_it(void **state)
{
    (void) state;
    int ends[2];
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    flush_from_many_threads(ends[0]);
    assert_int_equal(atomic_load(&failed), THREADS * ROUNDS);
    fd_close(&ends[0]);
    fd_close(&ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_caller_flushes),
        cmocka_unit_test(many_callers_all_return),
        cmocka_unit_test(a_failure_reaches_all_who_wait_for_it),
    };
    return cmocka_run_group_tests_name("base/sync_group", tests, NULL, NULL);
}
