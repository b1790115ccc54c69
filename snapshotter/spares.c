/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/spares.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "snapshotter/internal.h"

int spares_drop(struct store_txn *txn, const char *snapshotter, const char *parent,
                struct id_list *out_trees, struct error *error)
{
    int found = 1;
    for (uint64_t tree = 1; found > 0; tree++) {
        owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
        found = store_spare_next(txn, tree, &spare, error);
        if (found <= 0)
            break;
        tree = spare.tree;
        if (strcmp(spare.snapshotter, snapshotter) != 0 ||
            (parent && strcmp(spare.parent, parent) != 0))
            continue;
        found = store_spare_delete(txn, spare.tree, error);
        if (found > 0)
            id_list_add(out_trees, spare.tree);
    }
    return found < 0 ? found : 0;
}

int spares_list(struct store_txn *txn, struct id_list *out_trees, struct error *error)
{
    int found = 1;
    for (uint64_t tree = 1; found > 0; tree++) {
        owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
        found = store_spare_next(txn, tree, &spare, error);
        if (found <= 0)
            break;
        tree = spare.tree;
        id_list_add(out_trees, tree);
    }
    return found < 0 ? found : 0;
}

struct loading {
    const struct store_root *root;
    struct pool *pool; /* NULL: none is kept */
    unsigned dropped;  /* out */
};

static bool is_on_disk(const struct store_root *root, uint64_t tree)
{
    char name[ID_NAME_SIZE];
    id_name(tree, name);
    return faccessat(root->trees_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* 1 if the spare is as good as new, 0 if not. */
static int is_good(struct store_txn *txn, const struct loading *loading,
                   const struct spare_record *spare, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    if (!loading->pool || !is_on_disk(loading->root, spare->tree))
        return 0;
    int found = store_snapshot_get(txn, spare->snapshotter, spare->parent, &parent, error);
    return found <= 0 ? found : parent.kind == SNAPSHOT_COMMITTED;
}

static int drop_bad(struct store_txn *txn, void *context, struct error *error)
{
    struct loading *loading = context;
    int rc = 1;
    loading->dropped = 0;
    for (uint64_t tree = 1; rc > 0; tree++) {
        owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
        rc = store_spare_next(txn, tree, &spare, error);
        if (rc <= 0)
            break;
        tree = spare.tree;
        int good = is_good(txn, loading, &spare, error);
        if (good == 0)
            rc = store_spare_delete(txn, tree, error);
        else if (good < 0)
            rc = good;
        loading->dropped += good == 0;
    }
    return rc < 0 ? rc : 0;
}

/* They count as used now: nobody knows when they were. */
static int fill_pool(struct store *store, struct pool *pool, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(store, &txn, error);
    int64_t now_ms = clock_monotonic_ms();
    for (uint64_t tree = 1; rc == 0; tree++) {
        owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
        int found = store_spare_next(&txn, tree, &spare, error);
        if (found <= 0)
            return found;
        tree = spare.tree;
        pool_note_use(pool, spare.snapshotter, spare.parent, now_ms);
        (void) pool_put(pool, &spare);
    }
    return rc;
}

int spares_load(struct store *store, const struct store_root *root, struct pool *pool,
                struct error *error)
{
    struct loading loading = {.root = root, .pool = store_was_rebooted(store) ? NULL : pool};
    int rc = store_write(store, drop_bad, &loading, error);
    if (rc == 0 && loading.dropped > 0)
        log_info("%u spare clones are not used any more", loading.dropped);
    return rc == 0 && loading.pool ? fill_pool(store, pool, error) : rc;
}
