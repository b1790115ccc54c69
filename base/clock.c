/* SPDX-License-Identifier: Apache-2.0 */
#include "base/clock.h"

#include <time.h>

struct timestamp clock_now(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    return (struct timestamp){.seconds = now.tv_sec, .nanos = (int32_t) now.tv_nsec};
}

int64_t clock_monotonic_ms(void)
{
    struct timespec now;
    (void) clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t) now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

bool timestamp_after(struct timestamp a, struct timestamp b)
{
    return a.seconds != b.seconds ? a.seconds > b.seconds : a.nanos > b.nanos;
}

struct timespec clock_deadline(int ms)
{
    struct timespec time;
    (void) clock_gettime(CLOCK_REALTIME, &time);
    time.tv_sec += ms / 1000;
    time.tv_nsec += (long) (ms % 1000) * 1000000;
    if (time.tv_nsec >= 1000000000) {
        time.tv_sec++;
        time.tv_nsec -= 1000000000;
    }
    return time;
}
