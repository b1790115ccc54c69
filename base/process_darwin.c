/* SPDX-License-Identifier: Apache-2.0 */
#include "base/process.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syslimits.h>

/* launchd starts with 256 descriptors; more than OPEN_MAX are refused. */
void process_prepare(void)
{
    (void) umask(0);
    (void) signal(SIGPIPE, SIG_IGN); /* there is no MSG_NOSIGNAL */
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < OPEN_MAX) {
        limit.rlim_cur = limit.rlim_max < OPEN_MAX ? limit.rlim_max : OPEN_MAX;
        (void) setrlimit(RLIMIT_NOFILE, &limit);
    }
}
