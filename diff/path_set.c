/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/path_set.h"

#include "base/mem.h"

enum { FIRST_CAPACITY = 1024 };

void path_set_clear(struct path_set *set)
{
    mem_free(&set->slots);
    *set = PATH_SET_NULL;
}

/* The slot of id, or the free one where it belongs. */
static uint64_t *find_slot(const struct path_set *set, uint64_t id)
{
    size_t mask = set->capacity - 1;
    size_t index = (size_t) id & mask;
    while (set->slots[index] != 0 && set->slots[index] != id)
        index = (index + 1) & mask;
    return &set->slots[index];
}

static void grow(struct path_set *set)
{
    struct path_set old = *set;
    set->capacity = old.capacity ? old.capacity * 2 : FIRST_CAPACITY;
    set->slots = mem_alloc_array(set->capacity, sizeof *set->slots);
    for (size_t i = 0; i < old.capacity; i++)
        if (old.slots[i])
            *find_slot(set, old.slots[i]) = old.slots[i];
    mem_free(&old.slots);
}

void path_set_add(struct path_set *set, uint64_t id)
{
    if (set->count * 4 >= set->capacity * 3)
        grow(set);
    uint64_t *slot = find_slot(set, id);
    if (*slot == 0)
        set->count++;
    *slot = id;
}

bool path_set_has(const struct path_set *set, uint64_t id)
{
    return set->capacity > 0 && *find_slot(set, id) != 0;
}
