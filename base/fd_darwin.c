/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <unistd.h>

#include "base/fd.h"

/* Nothing here reads without waiting; pages that are in memory are read at once all the same. */
ssize_t fd_read_cached(int fd, void *buffer, size_t size, uint64_t offset)
{
    return pread(fd, buffer, size, (off_t) offset);
}

bool fd_path(int fd, char *out, size_t size)
{
    char path[PATH_MAX];
    return fcntl(fd, F_GETPATH, path) == 0 && strlcpy(out, path, size) < size;
}
