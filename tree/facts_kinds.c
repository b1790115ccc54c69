/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/stat.h"
#include "base/volume.h"
#include "tree/facts_ask.h"
#include "tree/facts_os.h"

static bool has_devices(int dirfd)
{
    return mknodat(dirfd, "device", S_IFCHR | 0600, makedev(1, 3)) == 0 &&
           mknodat(dirfd, "block", S_IFBLK | 0600, makedev(7, 0)) == 0;
}

static bool has_fifos(int dirfd)
{
    return mkfifoat(dirfd, "fifo", 0600) == 0;
}

static bool has_hard_links(int dirfd)
{
    struct os_stat found;
    owned(fd_close) int fd = fact_make_file(dirfd, "first");
    return fd >= 0 && linkat(dirfd, "first", dirfd, "second", 0) == 0 &&
           fact_describe(fd, &found) && found.nlink == 2;
}

static bool has_immutable_files(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "immutable");
    if (fd < 0 || os_change_flags(fd, OS_FLAG_IMMUTABLE, true) != 0)
        return false;
    bool stays = unlinkat(dirfd, "immutable", 0) != 0;
    errno = 0;
    return os_change_flags(fd, OS_FLAG_IMMUTABLE, false) == 0 && stays;
}

static bool keeps_holes(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "holes");
    enum { END = 1 << 20 };
    if (fd < 0 || ftruncate(fd, 0) != 0 || pwrite(fd, "x", 1, END) != 1)
        return false;
    off_t data = lseek(fd, 0, SEEK_DATA);
    errno = 0;
    return data > 0 && data <= END;
}

static bool exchanges_names(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "a");
    return fd >= 0 && mkdirat(dirfd, "b", 0700) == 0 && facts_exchange(dirfd, "a", "b");
}

static bool flushes(int dirfd)
{
    owned(fd_close) int fd = fact_make_file(dirfd, "flushed");
    return fd >= 0 && volume_flush(dirfd) == 0;
}

static const struct fact facts[] = {
    {"devices", has_devices},
    {"FIFOs", has_fifos},
    {"hard links", has_hard_links},
    {"immutable files", has_immutable_files},
    {"holes are kept", keeps_holes},
    {"two names are exchanged by one call", exchanges_names},
    {"the volume is flushed by one call", flushes},
};

const struct fact_list facts_of_kinds = FACT_LIST(facts);
