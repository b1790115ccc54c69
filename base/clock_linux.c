/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/fd.h"

static pthread_once_t epoch_once = PTHREAD_ONCE_INIT;
static pthread_mutex_t epoch_lock = PTHREAD_MUTEX_INITIALIZER;
static uint64_t epoch;
static int epoch_fd = -1; /* a timer that never fires, and tells when the clock was set */

static void begin_epochs(void)
{
    const struct itimerspec never = {.it_value = {.tv_sec = INT32_MAX * (time_t) 100}};
    uint64_t random = 0;
    epoch_fd = timerfd_create(CLOCK_REALTIME, TFD_CLOEXEC | TFD_NONBLOCK);
    if (epoch_fd < 0 || getrandom(&random, sizeof random, 0) != (ssize_t) sizeof random ||
        timerfd_settime(epoch_fd, TFD_TIMER_ABSTIME | TFD_TIMER_CANCEL_ON_SET, &never, NULL) != 0)
        fd_close(&epoch_fd);
    epoch = random | 1;
}

uint64_t clock_epoch(void)
{
    uint64_t ticks = 0;
    uint64_t now;
    (void) pthread_once(&epoch_once, begin_epochs);
    if (epoch_fd < 0)
        return 0;
    /* One reader alone is told of a step: nobody may go on with the old number meanwhile. */
    (void) pthread_mutex_lock(&epoch_lock);
    if (read(epoch_fd, &ticks, sizeof ticks) < 0 && errno == ECANCELED)
        epoch += 2;
    now = epoch;
    (void) pthread_mutex_unlock(&epoch_lock);
    return now;
}

bool clock_boot_id(char out[64])
{
    ssize_t length = fd_read_small(AT_FDCWD, "/proc/sys/kernel/random/boot_id", out, 64);
    if (length <= 0)
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}
