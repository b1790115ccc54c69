/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <sys/uio.h>

#include "base/fd.h"

ssize_t fd_read_cached(int fd, void *buffer, size_t size, uint64_t offset)
{
    const struct iovec whole = {.iov_base = buffer, .iov_len = size};
    return preadv2(fd, &whole, 1, (off_t) offset, RWF_NOWAIT);
}

bool fd_path(int fd, char *out, size_t size)
{
    return (size_t) snprintf(out, size, "/proc/self/fd/%d", fd) < size;
}
