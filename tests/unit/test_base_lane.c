/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/lane.h"

struct work {
    struct lane_job job;
    struct lane *lane;
    atomic_uint *done;
    unsigned again;
};

static void run(struct lane_job *job)
{
    struct work *work = (struct work *) job;
    atomic_fetch_add(work->done, 1);
    if (work->again > 0) {
        work->again--;
        lane_put(work->lane, job);
    }
}

static struct lane *make_lane(unsigned threads)
{
    struct lane *lane = NULL;
    struct lane_options options = {.name = "test", .threads = threads};
    assert_int_equal(lane_new(&options, &lane, NULL), 0);
    return lane;
}

static void every_job_runs_before_the_lane_is_gone(void **state)
{
    (void) state;
    static struct work works[2000];
    atomic_uint done = 0;
    struct lane *lane = make_lane(8);
    for (size_t i = 0; i < 2000; i++) {
        works[i] = (struct work){{run, NULL}, lane, &done, 3};
        lane_put(lane, &works[i].job);
    }
    lane_free(lane);
    assert_int_equal(atomic_load(&done), 8000);
}

struct meeting {
    struct lane_job job;
    pthread_barrier_t *barrier;
};

static void meet(struct lane_job *job)
{
    (void) pthread_barrier_wait(((struct meeting *) job)->barrier);
}

/* Each job waits for all others: with a thread too few this would hang. */
static void as_many_jobs_run_at_once_as_there_are_threads(void **state)
{
    (void) state;
    for (int round = 0; round < 50; round++) {
        pthread_barrier_t barrier;
        assert_int_equal(pthread_barrier_init(&barrier, NULL, 5), 0);
        struct lane *lane = make_lane(4);
        struct meeting meetings[8];
        for (int half = 0; half < 2; half++) {
            for (int i = 4 * half; i < 4 * half + 4; i++) {
                meetings[i] = (struct meeting){{meet, NULL}, &barrier};
                lane_put(lane, &meetings[i].job);
            }
            (void) pthread_barrier_wait(&barrier);
        }
        lane_free(lane);
        (void) pthread_barrier_destroy(&barrier);
    }
}

static void an_idle_lane_goes_at_once(void **state)
{
    (void) state;
    lane_free(make_lane(3));
    lane_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_job_runs_before_the_lane_is_gone),
        cmocka_unit_test(as_many_jobs_run_at_once_as_there_are_threads),
        cmocka_unit_test(an_idle_lane_goes_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
