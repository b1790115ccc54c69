/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/clone.h"
#include "tree/facts_os.h"
#include "tree/tree.h"
#include "tree/whole_probe.h"

enum { PROBE_BYTES = 16384 };

struct probe_name {
    char text[64];
};

/* A name that is free. Every process starts with the same ones, and so takes away what one before
 * it left when it was killed. */
static struct probe_name probe_name(int dirfd)
{
    static atomic_uint count;
    struct probe_name name = {""};
    (void) snprintf(name.text, sizeof name.text, ".clonefs-probe.%u", atomic_fetch_add(&count, 1));
    (void) unlinkat(dirfd, name.text, 0);
    return name;
}

/* Opens a new file that has no name any more, so that nothing is left whatever happens. */
static int open_nameless(int dirfd)
{
    struct probe_name name = probe_name(dirfd);
    owned(fd_close) int fd = openat(dirfd, name.text, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0 || unlinkat(dirfd, name.text, 0) != 0)
        return -1;
    return fd_take(&fd);
}

/* As clone_share_file, but that the clone has no name any more. */
static int clone_nameless(int origin_fd, int dirfd, int *out_fd)
{
    struct probe_name name = probe_name(dirfd);
    int shared = clone_share_file(origin_fd, dirfd, name.text, out_fd);
    return shared > 0 && unlinkat(dirfd, name.text, 0) != 0 ? -1 : shared;
}

static bool holds(int fd, const char *data)
{
    char found[PROBE_BYTES];
    return pread(fd, found, sizeof found, 0) == PROBE_BYTES &&
           memcmp(found, data, sizeof found) == 0;
}

static int probe_files(int dirfd, enum tree_clone_method *out_method, struct error *error)
{
    char data[PROBE_BYTES];
    owned(fd_close) int origin_fd = open_nameless(dirfd);
    owned(fd_close) int target_fd = -1;
    if (origin_fd < 0)
        return error_errno(error, "cannot create a file to try a clone");
    memset(data, 'c', sizeof data);
    errno = ENOSPC; /* what a short write means */
    if (pwrite(origin_fd, data, sizeof data, 0) != PROBE_BYTES)
        return error_errno(error, "cannot write a file to try a clone");
    int shared = clone_nameless(origin_fd, dirfd, &target_fd);
    if (shared < 0)
        return error_errno(error, "cannot try a clone");
    if (shared > 0 && !holds(target_fd, data))
        return error_set(error, ERROR_IO, "a clone of a file does not hold the same bytes");
    *out_method = shared > 0 ? TREE_CLONE_REFLINK : TREE_CLONE_COPY;
    return 0;
}

/* Of a file that is on disk all of it; of its origin, once it has a clone, nothing. */
static bool tells_private_sizes(int dirfd)
{
    char data[PROBE_BYTES];
    uint64_t alone = 0;
    uint64_t shared = 0;
    owned(fd_close) int origin_fd = open_nameless(dirfd);
    owned(fd_close) int clone_fd = -1;
    memset(data, 'p', sizeof data);
    return origin_fd >= 0 && pwrite(origin_fd, data, sizeof data, 0) == PROBE_BYTES &&
           os_private_bytes(origin_fd, "", &alone) && fsync(origin_fd) == 0 &&
           os_private_bytes(origin_fd, "", &alone) && alone >= PROBE_BYTES &&
           clone_nameless(origin_fd, dirfd, &clone_fd) > 0 &&
           os_private_bytes(origin_fd, "", &shared) && shared == 0;
}

/* That a clone has its origin's data, that it has other data as soon as it was written to, and that
 * two files which are no clones share nothing. */
static bool tells_shared_data(int dirfd)
{
    char data[PROBE_BYTES];
    owned(fd_close) int origin_fd = open_nameless(dirfd);
    owned(fd_close) int stranger_fd = open_nameless(dirfd);
    owned(fd_close) int clone_fd = -1;
    memset(data, 's', sizeof data);
    return origin_fd >= 0 && stranger_fd >= 0 &&
           pwrite(origin_fd, data, sizeof data, 0) == PROBE_BYTES &&
           pwrite(stranger_fd, data, sizeof data, 0) == PROBE_BYTES &&
           clone_nameless(origin_fd, dirfd, &clone_fd) > 0 &&
           facts_tells_what_is_shared(origin_fd, clone_fd) &&
           !facts_tells_what_is_shared(origin_fd, stranger_fd) &&
           pwrite(clone_fd, "x", 1, 0) == 1 && fsync(clone_fd) == 0 &&
           !facts_tells_what_is_shared(origin_fd, clone_fd);
}

int tree_probe(int dirfd, struct tree_abilities *out_abilities, struct error *error)
{
    *out_abilities = (struct tree_abilities){.clones_directories = whole_probe(dirfd),
                                             .tells_private_sizes = tells_private_sizes(dirfd),
                                             .tells_shared_data = tells_shared_data(dirfd)};
    return probe_files(dirfd, &out_abilities->method, error);
}

const char *tree_clone_method_name(enum tree_clone_method method)
{
    return method == TREE_CLONE_REFLINK ? clone_reflink_name : "byte copy";
}
