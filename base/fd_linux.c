/* SPDX-License-Identifier: Apache-2.0 */
#include <sys/uio.h>

#include "base/fd.h"

ssize_t fd_read_cached(int fd, void *buffer, size_t size, uint64_t offset)
{
    const struct iovec whole = {.iov_base = buffer, .iov_len = size};
    return preadv2(fd, &whole, 1, (off_t) offset, RWF_NOWAIT);
}
