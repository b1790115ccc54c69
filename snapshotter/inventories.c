/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/inventories.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

enum { SLOTS = 8, ENTRIES_MAX = 600000, IDLE_MS = 30 * 60 * 1000 };

struct kept {
    struct inventory_key key; /* of tree 0: nothing is kept here */
    struct path_list list;
    int64_t put_ms;
};

struct inventories {
    pthread_mutex_t lock;
    struct kept kept[SLOTS]; /* under lock, as all below */
    size_t entries;
};

struct inventories *inventories_new(void)
{
    struct inventories *inventories = mem_alloc(sizeof *inventories);
    (void) pthread_mutex_init(&inventories->lock, NULL);
    return inventories;
}

static void drop(struct inventories *inventories, struct kept *kept)
{
    inventories->entries -= kept->list.count;
    path_list_clear(&kept->list);
    *kept = (struct kept){.key = {0}};
}

void inventories_free(struct inventories *inventories)
{
    if (!inventories)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        drop(inventories, &inventories->kept[i]);
    (void) pthread_mutex_destroy(&inventories->lock);
    free(inventories);
}

/* The slot of the tree, or of 0, which is a free one; NULL if there is none. */
static struct kept *find_slot(struct inventories *inventories, uint64_t tree)
{
    for (size_t i = 0; i < SLOTS; i++)
        if (inventories->kept[i].key.tree == tree)
            return &inventories->kept[i];
    return NULL;
}

static struct kept *find_oldest(struct inventories *inventories)
{
    struct kept *oldest = NULL;
    for (size_t i = 0; i < SLOTS; i++) {
        struct kept *kept = &inventories->kept[i];
        if (kept->key.tree != 0 && (!oldest || kept->put_ms < oldest->put_ms))
            oldest = kept;
    }
    return oldest;
}

static struct kept *make_room(struct inventories *inventories, uint64_t tree, size_t count)
{
    struct kept *slot = find_slot(inventories, tree);
    if (slot)
        drop(inventories, slot);
    slot = find_slot(inventories, 0);
    while (!slot || (inventories->entries > 0 && inventories->entries + count > ENTRIES_MAX)) {
        drop(inventories, find_oldest(inventories));
        slot = find_slot(inventories, 0);
    }
    return slot;
}

void inventories_put(struct inventories *inventories, const struct inventory_key *key,
                     struct path_list *take_list, int64_t now_ms)
{
    (void) pthread_mutex_lock(&inventories->lock);
    struct kept *slot = make_room(inventories, key->tree, take_list->count);
    *slot = (struct kept){.key = *key, .list = *take_list, .put_ms = now_ms};
    inventories->entries += take_list->count;
    (void) pthread_mutex_unlock(&inventories->lock);
    *take_list = PATH_LIST_NULL;
}

static bool is_true_at(const struct inventory_key *key, struct timestamp time)
{
    return key->time.seconds == time.seconds && key->time.nanos == time.nanos && key->epoch != 0 &&
           key->epoch == clock_epoch();
}

bool inventories_take(struct inventories *inventories, uint64_t tree, struct timestamp time,
                      struct path_list *out_list)
{
    (void) pthread_mutex_lock(&inventories->lock);
    struct kept *slot = find_slot(inventories, tree);
    bool found = slot && is_true_at(&slot->key, time);
    if (found) {
        inventories->entries -= slot->list.count;
        *out_list = slot->list;
        slot->list = PATH_LIST_NULL;
    }
    if (slot)
        drop(inventories, slot);
    (void) pthread_mutex_unlock(&inventories->lock);
    return found;
}

void inventories_drop(struct inventories *inventories, uint64_t tree)
{
    (void) pthread_mutex_lock(&inventories->lock);
    struct kept *slot = find_slot(inventories, tree);
    if (slot)
        drop(inventories, slot);
    (void) pthread_mutex_unlock(&inventories->lock);
}

void inventories_drop_idle(struct inventories *inventories, int64_t now_ms)
{
    (void) pthread_mutex_lock(&inventories->lock);
    for (size_t i = 0; i < SLOTS; i++)
        if (inventories->kept[i].put_ms + IDLE_MS < now_ms)
            drop(inventories, &inventories->kept[i]);
    (void) pthread_mutex_unlock(&inventories->lock);
}
