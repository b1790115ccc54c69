/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/extents.h"

#include <sys/stat.h>
#include <unistd.h>

#include "tree/clone_id_darwin.h"

static bool has_size(int fd, uint64_t size)
{
    struct stat found;
    return fstat(fd, &found) == 0 && (uint64_t) found.st_size == size;
}

/* What is not on disk yet may not have got its own data stream yet. */
static bool settle(int fd, bool settled)
{
    return settled || fsync(fd) == 0;
}

bool extents_shared(int a_fd, bool a_settled, int b_fd, bool b_settled, uint64_t size)
{
    return clone_id_equal(a_fd, b_fd) && settle(a_fd, a_settled) && settle(b_fd, b_settled) &&
           clone_id_equal(a_fd, b_fd) && has_size(a_fd, size) && has_size(b_fd, size);
}
