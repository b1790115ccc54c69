/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/space.h"

#include <stdint.h>
#include <sys/statvfs.h>

static enum space space_of(uint64_t available, uint64_t all)
{
    if (all == 0) /* inodes are not counted */
        return SPACE_PLENTY;
    return available < all / 20 ? SPACE_NONE : available < all / 10 ? SPACE_LITTLE : SPACE_PLENTY;
}

enum space space_left(int fd)
{
    struct statvfs volume;
    if (fstatvfs(fd, &volume) != 0)
        return SPACE_PLENTY;
    enum space blocks = space_of(volume.f_bavail, volume.f_blocks);
    enum space inodes = space_of(volume.f_favail, volume.f_files);
    return blocks > inodes ? blocks : inodes;
}
