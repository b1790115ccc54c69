/* SPDX-License-Identifier: Apache-2.0 */
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/clone.h"
#include "tree/facts_ask.h"
#include "tree/facts_os.h"

/* A file and its clone. */
struct clone_pair {
    int origin_fd;
    int clone_fd;
};

static void clone_pair_close(struct clone_pair *pair)
{
    fd_close(&pair->origin_fd);
    fd_close(&pair->clone_fd);
}

static bool make_clone(struct clone_pair *pair, int dirfd)
{
    *pair = (struct clone_pair){.origin_fd = fact_make_file(dirfd, "origin"), .clone_fd = -1};
    return pair->origin_fd >= 0 &&
           clone_share_file(pair->origin_fd, dirfd, "clone", &pair->clone_fd) == 1;
}

static bool clones_files(int dirfd)
{
    owned(clone_pair_close) struct clone_pair pair;
    return make_clone(&pair, dirfd);
}

static bool clones_are_private(int dirfd)
{
    owned(clone_pair_close) struct clone_pair pair;
    char found = 0;
    return make_clone(&pair, dirfd) && pwrite(pair.clone_fd, "x", 1, 0) == 1 &&
           pread(pair.origin_fd, &found, 1, 0) == 1 && found == 'd';
}

static bool tells_what_is_shared(int dirfd)
{
    owned(clone_pair_close) struct clone_pair pair;
    return make_clone(&pair, dirfd) && facts_tells_what_is_shared(pair.origin_fd, pair.clone_fd);
}

static bool moves_change_time(int dirfd)
{
    struct os_stat before;
    struct os_stat after;
    owned(fd_close) int fd = fact_make_file(dirfd, "changed");
    if (fd < 0 || !fact_describe(fd, &before))
        return false;
    (void) usleep(30000);
    return pwrite(fd, "x", 1, 0) == 1 && fact_describe(fd, &after) &&
           (after.ctime.tv_sec > before.ctime.tv_sec ||
            (after.ctime.tv_sec == before.ctime.tv_sec &&
             after.ctime.tv_nsec > before.ctime.tv_nsec));
}

static const struct fact facts[] = {
    {"a file is cloned by one call, sharing its data", clones_files},
    {"writing to a clone leaves its origin alone", clones_are_private},
    {"it can be seen that a clone shares its data", tells_what_is_shared},
    {"a directory is cloned by one call", facts_clones_directories},
    {"writing moves the change time", moves_change_time},
};

const struct fact_list facts_of_clones = FACT_LIST(facts);
