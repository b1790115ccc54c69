/* SPDX-License-Identifier: Apache-2.0 */
#include "base/small_calls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    SMALL_MS = 20,   /* what has begun before then is no small call any more */
    AFTER_MS = 6,    /* for what the caller writes when it has the answer */
    PAUSE_MS = 10,   /* at most, and then as long without one */
    LOOK_US = 300,   /* between two looks */
    LATELY_MS = 200, /* since a small call came */
    RUN_MS = 2,      /* between two rests */
    REST_US = 50,    /* the timer adds as much */
};

static atomic_uint under_way;
static _Atomic int64_t last_begun_ms = -LATELY_MS;
static _Atomic int64_t last_ended_ms = -AFTER_MS;

void small_calls_begin(void)
{
    atomic_store(&last_begun_ms, clock_monotonic_ms());
    atomic_fetch_add(&under_way, 1);
}

void small_calls_end(void)
{
    atomic_store(&last_ended_ms, clock_monotonic_ms());
    atomic_fetch_sub(&under_way, 1);
}

static bool come_first(int64_t now_ms)
{
    return now_ms < atomic_load(&last_ended_ms) + AFTER_MS ||
           (atomic_load(&under_way) > 0 && now_ms < atomic_load(&last_begun_ms) + SMALL_MS);
}

/* On two CPUs that such threads kept busy Linux let one of its own, which a flush waited for, wait
 * for 100 ms. */
static void rest(int64_t now_ms)
{
    static _Thread_local int64_t rested_ms;
    if (now_ms < rested_ms + RUN_MS || now_ms >= atomic_load(&last_begun_ms) + LATELY_MS)
        return;
    (void) usleep(REST_US);
    rested_ms = now_ms;
}

static void stand_still(int64_t begun_ms)
{
    static _Thread_local int64_t busy_until_ms;
    int64_t now = begun_ms;
    if (now < busy_until_ms || !come_first(now))
        return;
    while (now < begun_ms + PAUSE_MS && come_first(now)) {
        (void) usleep(LOOK_US);
        now = clock_monotonic_ms();
    }
    busy_until_ms = now + (now - begun_ms);
}

void small_calls_give_way(void)
{
    int64_t now = clock_monotonic_ms();
    rest(now);
    stand_still(now);
}
