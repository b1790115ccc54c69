/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/snapshotter.h"

#include <stdlib.h>

#include "base/clock.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "snapshotter/cached_trees.h"
#include "snapshotter/internal.h"
#include "snapshotter/spares.h"

#define DEFAULT_USAGE_REFRESH_MS 30000
#define DEFAULT_FLUSH_DELAY_MS 2000

int snapshotter_open_folder(const struct snapshotter *snapshotter, uint64_t tree)
{
    char name[ID_NAME_SIZE];
    id_name(tree, name);
    return fd_open_dir(snapshotter->root->trees_fd, name);
}

int snapshotter_make_folder(const struct snapshotter *snapshotter, uint64_t tree,
                            struct error *error)
{
    char name[ID_NAME_SIZE];
    id_name(tree, name);
    return fd_make_dir(snapshotter->root->trees_fd, name, 0700, error);
}

void snapshotter_trash_tree(struct snapshotter *snapshotter, uint64_t tree)
{
    char name[ID_NAME_SIZE];
    id_name(tree, name);
    (void) fault_point("remove.recorded");
    trash_put(snapshotter->trash, snapshotter->root->trees_fd, name, tree);
    (void) fault_point("remove.trashed");
}

void snapshotter_trash_layer(struct snapshotter *snapshotter, uint64_t layer)
{
    char name[ID_NAME_SIZE];
    id_name(layer, name);
    trash_put(snapshotter->trash, snapshotter->root->layers_fd, name, layer);
}

void snapshotter_give_way(struct snapshotter *snapshotter)
{
    spare_maker_give_way(snapshotter->spare_maker);
    (void) cached_trees_drop_one(snapshotter);
    trash_hurry(snapshotter->trash);
}

static void set_defaults(struct snapshotter_options *options)
{
    if (!options->usage_refresh_ms)
        options->usage_refresh_ms = DEFAULT_USAGE_REFRESH_MS;
    if (!options->flush_delay_ms)
        options->flush_delay_ms = DEFAULT_FLUSH_DELAY_MS;
}

static int start_workers(struct snapshotter *snapshotter, struct error *error)
{
    static const struct lane_options background = {
        .name = "background", .threads = 1, .nice_value = 10};
    int rc = lane_new(&background, &snapshotter->background, error);
    if (rc == 0)
        rc = flusher_open(snapshotter->store, snapshotter->root,
                          snapshotter->options.flush_delay_ms, &snapshotter->flusher, error);
    if (rc == 0 && snapshotter->pool)
        rc = spare_maker_open(snapshotter, &snapshotter->spare_maker, error);
    return rc;
}

int snapshotter_open(struct store *store, const struct store_root *root, struct trash *trash,
                     const struct snapshotter_options *options,
                     struct snapshotter **out_snapshotter, struct error *error)
{
    struct pool *pool = options->pool_off ? NULL : pool_new(options->clones_share_data);
    int rc = spares_load(store, root, pool, error);
    if (rc == 0 && store_was_rebooted(store))
        rc = snapshotter_mark_unflushed(store, error);
    if (rc == 0)
        rc = snapshotter_sweep(store, root, error);
    if (rc != 0) {
        pool_free(pool);
        return rc;
    }
    struct snapshotter *snapshotter = mem_alloc(sizeof *snapshotter);
    *snapshotter = (struct snapshotter){
        .store = store, .root = root, .trash = trash, .options = *options, .pool = pool};
    set_defaults(&snapshotter->options);
    snapshotter->pins = pins_new();
    snapshotter->inventories = inventories_new();
    snapshotter->usage = usage_cache_new(snapshotter->options.usage_refresh_ms);
    rc = start_workers(snapshotter, error);
    if (rc != 0) {
        (void) snapshotter_close(snapshotter, 0);
        return rc;
    }
    trash_wake(trash); /* for what the sweep put there */
    *out_snapshotter = snapshotter;
    return 0;
}

bool snapshotter_close(struct snapshotter *snapshotter, int timeout_ms)
{
    if (!snapshotter)
        return true;
    int64_t deadline_ms = clock_monotonic_ms() + timeout_ms;
    cancel_request(&snapshotter->stopping);
    if (!spare_maker_close(snapshotter->spare_maker, timeout_ms))
        return false;
    lane_free(snapshotter->background);
    snapshotter->background = NULL;
    int64_t left_ms = deadline_ms - clock_monotonic_ms();
    if (!flusher_close(snapshotter->flusher, left_ms > 0 ? (int) left_ms : 0))
        return false;
    pool_free(snapshotter->pool);
    inventories_free(snapshotter->inventories);
    usage_cache_free(snapshotter->usage);
    pins_free(snapshotter->pins);
    free(snapshotter);
    return true;
}

void snapshotter_cleanup(struct snapshotter *snapshotter)
{
    trash_wake(snapshotter->trash);
}
