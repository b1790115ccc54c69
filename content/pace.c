/* SPDX-License-Identifier: Apache-2.0 */
#include "content/pace.h"

#include <stddef.h>
#include <time.h>

#include "base/clock.h"

/* So soon does it notice that it is cancelled. */
#define TICK_MS 100

struct pace pace_begin(uint64_t bytes_per_second)
{
    return (struct pace){.bytes_per_second = bytes_per_second, .started_ms = clock_monotonic_ms()};
}

void pace_wait(struct pace *pace, uint64_t bytes, const struct cancel *cancel)
{
    if (!pace || pace->bytes_per_second == 0)
        return;
    pace->bytes += bytes;
    int64_t due_ms = pace->started_ms +
                     (int64_t) ((double) pace->bytes * 1000.0 / (double) pace->bytes_per_second);
    for (int64_t left_ms = due_ms - clock_monotonic_ms(); left_ms > 0 && !cancel_requested(cancel);
         left_ms = due_ms - clock_monotonic_ms()) {
        int64_t nap_ms = left_ms < TICK_MS ? left_ms : TICK_MS;
        (void) nanosleep(&(struct timespec){.tv_nsec = nap_ms * 1000000}, NULL);
    }
}
