/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <malloc.h>
#include <sys/resource.h>
#include <sys/stat.h>

void process_prepare(void)
{
    (void) umask(0);
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there is one thread */
    (void) mallopt(M_ARENA_MAX, 2);
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }
}
