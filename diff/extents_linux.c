/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/extents.h"

#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdint.h>
#include <sys/ioctl.h>

#include "base/cleanup.h"
#include "base/mem.h"

enum { BATCH = 64 };

/* With one of these the place on disk is not known, or is not all there is to the data. */
static const uint32_t UNSURE = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
                               FIEMAP_EXTENT_ENCODED | FIEMAP_EXTENT_DATA_ENCRYPTED |
                               FIEMAP_EXTENT_NOT_ALIGNED | FIEMAP_EXTENT_DATA_INLINE |
                               FIEMAP_EXTENT_DATA_TAIL | FIEMAP_EXTENT_UNWRITTEN;

static struct fiemap *new_map(void)
{
    return mem_alloc(sizeof(struct fiemap) + BATCH * sizeof(struct fiemap_extent));
}

/* Asks for the extents between start and size. */
static bool ask(int fd, struct fiemap *map, uint64_t start, uint64_t size, bool settled)
{
    *map = (struct fiemap){.fm_start = start,
                           .fm_length = size - start,
                           .fm_flags = settled ? 0 : FIEMAP_FLAG_SYNC,
                           .fm_extent_count = BATCH};
    return ioctl(fd, FS_IOC_FIEMAP, map) == 0;
}

/* What is reserved beyond the end of a file does not count. */
static uint64_t end_of(const struct fiemap_extent *extent, uint64_t size)
{
    uint64_t end = extent->fe_logical + extent->fe_length;
    return end < size ? end : size;
}

/* Extents that two files share are marked as such; one that is not is somewhere else, whatever
 * the numbers say (XFS with a realtime device). */
static bool is_same(const struct fiemap_extent *a, const struct fiemap_extent *b, uint64_t size)
{
    return a->fe_logical == b->fe_logical && a->fe_physical == b->fe_physical &&
           end_of(a, size) == end_of(b, size) && ((a->fe_flags | b->fe_flags) & UNSURE) == 0 &&
           (a->fe_flags & b->fe_flags & FIEMAP_EXTENT_SHARED) != 0;
}

static bool same_batch(const struct fiemap *a, const struct fiemap *b, uint64_t size)
{
    if (a->fm_mapped_extents != b->fm_mapped_extents)
        return false;
    for (uint32_t i = 0; i < a->fm_mapped_extents; i++)
        if (!is_same(&a->fm_extents[i], &b->fm_extents[i], size))
            return false;
    return true;
}

bool extents_shared(int a_fd, bool a_settled, int b_fd, bool b_settled, uint64_t size)
{
    owned(mem_free) struct fiemap *a = new_map();
    owned(mem_free) struct fiemap *b = new_map();
    for (uint64_t start = 0; start < size;) {
        if (!ask(a_fd, a, start, size, a_settled) || !ask(b_fd, b, start, size, b_settled) ||
            !same_batch(a, b, size))
            return false;
        if (a->fm_mapped_extents < BATCH)
            return true; /* only holes follow */
        uint64_t end = end_of(&a->fm_extents[BATCH - 1], size);
        if (end <= start)
            return false;
        start = end;
    }
    return true;
}
