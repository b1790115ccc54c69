/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/inventories.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/mem.h"

/* Unpackings at one time. */
enum { KEPT = 2, IDLE_MS = 2 * 60 * 1000 };

struct kept {
    struct inventory_key key; /* of tree 0: nothing is kept here */
    struct path_list list;
    int64_t put_ms;
};

struct inventories {
    pthread_mutex_t lock;
    struct kept kept[KEPT]; /* under lock */
};

struct inventories *inventories_new(void)
{
    struct inventories *inventories = mem_alloc(sizeof *inventories);
    (void) pthread_mutex_init(&inventories->lock, NULL);
    return inventories;
}

static void drop(struct kept *kept)
{
    path_list_clear(&kept->list);
    *kept = (struct kept){.key = {0}};
}

void inventories_free(struct inventories *inventories)
{
    if (!inventories)
        return;
    for (size_t i = 0; i < KEPT; i++)
        drop(&inventories->kept[i]);
    (void) pthread_mutex_destroy(&inventories->lock);
    free(inventories);
}

/* The place of this tree's, or the one to be used next: a free one, or that of the oldest. */
static struct kept *find_place(struct inventories *inventories, uint64_t tree)
{
    struct kept *place = &inventories->kept[0];
    for (size_t i = 0; i < KEPT; i++) {
        struct kept *kept = &inventories->kept[i];
        if (kept->key.tree == tree)
            return kept;
        if (place->key.tree != 0 && (kept->key.tree == 0 || kept->put_ms < place->put_ms))
            place = kept;
    }
    return place;
}

void inventories_put(struct inventories *inventories, const struct inventory_key *key,
                     struct path_list *take_list, int64_t now_ms)
{
    (void) pthread_mutex_lock(&inventories->lock);
    struct kept *place = find_place(inventories, key->tree);
    drop(place);
    *place = (struct kept){.key = *key, .list = *take_list, .put_ms = now_ms};
    (void) pthread_mutex_unlock(&inventories->lock);
    *take_list = PATH_LIST_NULL;
}

static bool is_true_of(const struct inventory_key *key, uint64_t tree, struct timestamp time)
{
    return key->tree == tree && key->time.seconds == time.seconds &&
           key->time.nanos == time.nanos && key->epoch != 0 && key->epoch == clock_epoch();
}

bool inventories_take(struct inventories *inventories, uint64_t tree, struct timestamp time,
                      struct path_list *out_list)
{
    (void) pthread_mutex_lock(&inventories->lock);
    struct kept *kept = find_place(inventories, tree);
    bool found = is_true_of(&kept->key, tree, time);
    if (found) {
        *out_list = kept->list;
        kept->list = PATH_LIST_NULL;
    }
    if (kept->key.tree == tree)
        drop(kept);
    (void) pthread_mutex_unlock(&inventories->lock);
    return found;
}

void inventories_drop_idle(struct inventories *inventories, int64_t now_ms)
{
    (void) pthread_mutex_lock(&inventories->lock);
    for (size_t i = 0; i < KEPT; i++)
        if (inventories->kept[i].put_ms + IDLE_MS < now_ms)
            drop(&inventories->kept[i]);
    (void) pthread_mutex_unlock(&inventories->lock);
}
