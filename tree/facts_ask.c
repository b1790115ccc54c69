/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/facts_ask.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

int fact_make_file(int dirfd, const char *name)
{
    char data[FACT_DATA_BYTES];
    memset(data, 'd', sizeof data);
    owned(fd_close) int fd = openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    errno = fd < 0 ? errno : ENOSPC; /* what a short write means */
    if (fd < 0 || pwrite(fd, data, sizeof data, 0) != FACT_DATA_BYTES)
        return -1;
    errno = 0;
    return fd_take(&fd);
}

bool fact_exists(int dirfd, const char *name)
{
    bool found = faccessat(dirfd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    errno = 0;
    return found;
}

bool fact_describe(int fd, struct os_stat *out_stat)
{
    return os_stat(fd, out_stat) == 0;
}
