/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "base/clock.h"
#include "base/fd.h"

bool clock_boot_id(char out[64])
{
    ssize_t length = fd_read_small(AT_FDCWD, "/proc/sys/kernel/random/boot_id", out, 64);
    if (length <= 0)
        return false;
    out[strcspn(out, "\n")] = '\0';
    return true;
}
