/* SPDX-License-Identifier: Apache-2.0 */
#include "base/small_calls.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"

enum {
    SMALL_MS = 20, /* what has begun before then is no small call any more */
    AFTER_MS = 6,  /* for what the caller writes when it has the answer */
    PAUSE_MS = 10, /* at most, and then as long without one */
    LOOK_US = 300, /* between two looks */
};

static atomic_uint under_way;
static _Atomic int64_t last_begun_ms = -SMALL_MS;
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

void small_calls_give_way(void)
{
    static _Thread_local int64_t busy_until_ms;
    int64_t begun = clock_monotonic_ms();
    int64_t now = begun;
    if (now < busy_until_ms || !come_first(now))
        return;
    while (now < begun + PAUSE_MS && come_first(now)) {
        (void) usleep(LOOK_US);
        now = clock_monotonic_ms();
    }
    busy_until_ms = now + (now - begun);
}
