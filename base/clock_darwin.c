/* SPDX-License-Identifier: Apache-2.0 */
#include <pthread.h>
#include <stdlib.h>
#include <sys/sysctl.h>
#include <sys/time.h>

#include "base/clock.h"

static pthread_once_t start_once = PTHREAD_ONCE_INIT;
static uint64_t start;

static void begin(void)
{
    arc4random_buf(&start, sizeof start);
}

/* The kernel moves the time of its boot whenever the clock is set, and not when it is slewed. */
uint64_t clock_epoch(void)
{
    struct timeval boot;
    size_t size = sizeof boot;
    (void) pthread_once(&start_once, begin);
    if (sysctlbyname("kern.boottime", &boot, &size, NULL, 0) != 0)
        return 0;
    return (start + (uint64_t) boot.tv_sec * 1000000 + (uint64_t) boot.tv_usec) | 1;
}

bool clock_boot_id(char out[64])
{
    size_t size = 64;
    return sysctlbyname("kern.bootsessionuuid", out, &size, NULL, 0) == 0;
}
