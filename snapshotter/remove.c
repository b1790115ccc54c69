/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "snapshotter/internal.h"
#include "snapshotter/spares.h"

struct removal {
    const char *snapshotter;
    const char *key;
    uint64_t tree;         /* out: what goes to trash, or 0 */
    uint64_t layer;        /* out: the same */
    struct id_list spares; /* out: the same */
};

static void removal_clear(struct removal *removal)
{
    id_list_clear(&removal->spares);
}

static int record_removal(struct store_txn *txn, void *context, struct error *error)
{
    struct removal *removal = context;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_find(txn, removal->snapshotter, removal->key, &record, error);
    if (rc != 0)
        return rc;
    rc = store_snapshot_has_children(txn, removal->snapshotter, removal->key, error);
    if (rc > 0)
        return error_set(error, ERROR_PRECONDITION, "cannot remove snapshot %s: it has children",
                         removal->key);
    if (rc == 0)
        rc = store_snapshot_delete(txn, &record, error);
    removal->spares.count = 0;
    if (rc == 0 && record.kind == SNAPSHOT_COMMITTED)
        rc = spares_drop(txn, removal->snapshotter, removal->key, &removal->spares, error);
    removal->tree = record.tree;
    removal->layer = record.layer;
    return rc;
}

int snapshot_remove(struct snapshotter *snapshotter, const char *name, const char *key,
                    struct error *error)
{
    owned(removal_clear) struct removal removal = {.snapshotter = name, .key = key};
    int rc = pins_begin_removal(snapshotter->pins, name, key, error);
    if (rc != 0)
        return rc;
    rc = store_write(snapshotter->store, record_removal, &removal, error);
    pins_decided(snapshotter->pins, name, key);
    if (rc != 0)
        return rc;
    if (removal.tree) {
        usage_cache_drop(snapshotter->usage, removal.tree);
        inventories_drop(snapshotter->inventories, removal.tree);
        snapshotter_trash_tree(snapshotter, removal.tree);
    }
    if (removal.layer)
        snapshotter_trash_layer(snapshotter, removal.layer);
    if (snapshotter->pool)
        pool_forget(snapshotter->pool, name, key);
    for (size_t i = 0; i < removal.spares.count; i++)
        snapshotter_trash_tree(snapshotter, removal.spares.ids[i]);
    return 0;
}
