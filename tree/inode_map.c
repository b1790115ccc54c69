/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/inode_map.h"

#include <assert.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 64 };

void inode_map_clear(struct inode_map *map)
{
    mem_free(&map->slots);
    *map = INODE_MAP_NULL;
}

/* The slot of the inode, or the free one where it belongs. */
static struct inode_map_slot *find_slot(const struct inode_map *map, dev_t dev, uint64_t ino)
{
    uint64_t hash = (ino ^ (uint64_t) dev << 48) * 0x9e3779b97f4a7c15ULL;
    size_t mask = map->capacity - 1;
    size_t index = (size_t) (hash >> 32) & mask;
    while (map->slots[index].value &&
           (map->slots[index].ino != ino || map->slots[index].dev != dev))
        index = (index + 1) & mask;
    return &map->slots[index];
}

static void grow(struct inode_map *map)
{
    struct inode_map old = *map;
    map->capacity = old.capacity ? old.capacity * 2 : FIRST_CAPACITY;
    map->slots = mem_alloc_array(map->capacity, sizeof *map->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i].value)
            *find_slot(map, old.slots[i].dev, old.slots[i].ino) = old.slots[i];
    mem_free(&old.slots);
}

uintptr_t inode_map_get(const struct inode_map *map, dev_t dev, uint64_t ino)
{
    return map->capacity ? find_slot(map, dev, ino)->value : 0;
}

void inode_map_add(struct inode_map *map, dev_t dev, uint64_t ino, uintptr_t value)
{
    assert(value);
    if (map->count * 4 >= map->capacity * 3)
        grow(map);
    struct inode_map_slot *slot = find_slot(map, dev, ino);
    assert(!slot->value);
    *slot = (struct inode_map_slot){.ino = ino, .dev = dev, .value = value};
    map->count++;
}
