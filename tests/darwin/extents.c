/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <linux/fiemap.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <sys/ioctl.h>

#include "tests/darwin/internal.h"

enum { EXTENTS = 256 };

/* Where data is not known, or not a whole block, it has no number. */
static const uint32_t unplaced = FIEMAP_EXTENT_UNKNOWN | FIEMAP_EXTENT_DELALLOC |
                                 FIEMAP_EXTENT_DATA_INLINE | FIEMAP_EXTENT_NOT_ALIGNED;

static uint64_t mix(uint64_t id, uint64_t value)
{
    return (id ^ value) * 0x100000001b3u;
}

/* Adds what the map has; sets *start to its end. True if there may be more. */
static bool add(const struct fiemap *map, struct extent_facts *facts, bool *whole, uint64_t *start)
{
    bool last = map->fm_mapped_extents == 0;
    for (unsigned i = 0; i < map->fm_mapped_extents; i++) {
        const struct fiemap_extent *extent = &map->fm_extents[i];
        bool shared = (extent->fe_flags & FIEMAP_EXTENT_SHARED) != 0;
        *(shared ? &facts->shared_bytes : &facts->private_bytes) += extent->fe_length;
        *whole = *whole && !(extent->fe_flags & unplaced);
        facts->id =
            mix(mix(mix(facts->id, extent->fe_logical), extent->fe_physical), extent->fe_length);
        *start = extent->fe_logical + extent->fe_length;
        last = last || (extent->fe_flags & FIEMAP_EXTENT_LAST);
    }
    return !last;
}

int extents_read(int fd, struct extent_facts *out)
{
    struct fiemap *map = malloc(sizeof *map + EXTENTS * sizeof map->fm_extents[0]);
    if (!map)
        return -1;
    *out = (struct extent_facts){0};
    bool whole = true;
    bool more = true;
    int result = 0;
    for (uint64_t start = 0; result == 0 && more;) {
        *map = (struct fiemap){.fm_start = start,
                               .fm_length = UINT64_MAX - start,
                               .fm_flags = FIEMAP_FLAG_SYNC,
                               .fm_extent_count = EXTENTS};
        result = ioctl(fd, FS_IOC_FIEMAP, map);
        more = result == 0 && add(map, out, &whole, &start);
    }
    if (!whole)
        out->id = 0;
    int saved = errno;
    free(map);
    errno = saved;
    return result;
}
