/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * A map from inodes to numbers or pointers, for files with more than one name. Not locked. Nothing
 * is ever taken out.
 */
struct inode_map_slot {
    uint64_t ino;
    dev_t dev;
    uintptr_t value; /* 0 = free slot */
};

struct inode_map {
    struct inode_map_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t count;
};

#define INODE_MAP_NULL ((struct inode_map){0})

/* Frees the map, not what its values point to; repeatable. */
void inode_map_clear(struct inode_map *map);

/* The value of the inode, or 0. */
uintptr_t inode_map_get(const struct inode_map *map, dev_t dev, uint64_t ino);

/* Adds an inode that is not there yet; value is not 0. */
void inode_map_add(struct inode_map *map, dev_t dev, uint64_t ino, uintptr_t value);
