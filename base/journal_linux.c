/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/journal.h"

/* XFS names what it tells of a volume by its device. */
static int open_stats(int dirfd)
{
    char path[PATH_MAX];
    char device[PATH_MAX];
    struct stat status;
    if (fstat(dirfd, &status) != 0)
        return -1;
    (void) snprintf(path, sizeof path, "/sys/dev/block/%u:%u", major(status.st_dev),
                    minor(status.st_dev));
    ssize_t length = readlink(path, device, sizeof device - 1);
    if (length < 0)
        return -1;
    device[length] = '\0';
    const char *slash = strrchr(device, '/');
    int size =
        snprintf(path, sizeof path, "/sys/fs/xfs/%s/stats/stats", slash ? slash + 1 : device);
    return size < (int) sizeof path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
}

bool journal_open(int dirfd, struct journal *out_journal)
{
    struct statfs volume;
    *out_journal = JOURNAL_NULL;
    if (fstatfs(dirfd, &volume) != 0 || volume.f_type != XFS_SUPER_MAGIC)
        return false;
    out_journal->fd = openat(dirfd, ".", O_TMPFILE | O_WRONLY | O_CLOEXEC, 0600);
    if (out_journal->fd < 0)
        return false;
    out_journal->stats_fd = open_stats(dirfd);
    return true;
}

/* A file that was not changed since its last flush is not flushed again. */
int journal_write(const struct journal *journal)
{
    return futimens(journal->fd, NULL) == 0 ? fsync(journal->fd) : -1;
}

int64_t journal_count_writes(const struct journal *journal)
{
    char text[4096];
    int64_t writes = -1;
    ssize_t length = pread(journal->stats_fd, text, sizeof text - 1, 0);
    if (length < 0)
        return -1;
    text[length] = '\0';
    const char *line = strstr(text, "\nlog "); /* log writes, their blocks, waits, requests */
    return line && sscanf(line, "\nlog %*d %*d %*d %" SCNd64, &writes) == 1 ? writes : -1;
}

void journal_close(struct journal *journal)
{
    fd_close(&journal->fd);
    fd_close(&journal->stats_fd);
}
