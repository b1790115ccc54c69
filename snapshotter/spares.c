/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/spares.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/log.h"
#include "snapshotter/internal.h"

/* Gets each spare in turn; an error code ends that. */
typedef int visitor(struct store_txn *txn, struct spare_record *spare, void *context,
                    struct error *error);

static int visit_all(struct store_txn *txn, visitor *visit, void *context, struct error *error)
{
    int rc = 0;
    for (uint64_t tree = 1; rc >= 0; tree++) {
        owned(spare_record_clear) struct spare_record spare = SPARE_RECORD_NULL;
        rc = store_spare_next(txn, tree, &spare, error);
        if (rc <= 0)
            return rc;
        tree = spare.tree;
        rc = visit(txn, &spare, context, error);
    }
    return rc;
}

static int add_tree(struct store_txn *txn, struct spare_record *spare, void *context,
                    struct error *error)
{
    (void) txn;
    (void) error;
    id_list_add(context, spare->tree);
    return 0;
}

int spares_list(struct store_txn *txn, struct id_list *out_trees, struct error *error)
{
    return visit_all(txn, add_tree, out_trees, error);
}

struct dropping {
    const char *snapshotter;
    const char *parent; /* NULL: any */
    struct id_list *out_trees;
};

static int drop_matching(struct store_txn *txn, struct spare_record *spare, void *context,
                         struct error *error)
{
    const struct dropping *dropping = context;
    if (strcmp(spare->snapshotter, dropping->snapshotter) != 0 ||
        (dropping->parent && strcmp(spare->parent, dropping->parent) != 0))
        return 0;
    id_list_add(dropping->out_trees, spare->tree);
    return store_spare_delete(txn, spare->tree, error);
}

int spares_drop(struct store_txn *txn, const char *snapshotter, const char *parent,
                struct id_list *out_trees, struct error *error)
{
    struct dropping dropping = {
        .snapshotter = snapshotter, .parent = parent, .out_trees = out_trees};
    return visit_all(txn, drop_matching, &dropping, error);
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

static int drop_unless_good(struct store_txn *txn, struct spare_record *spare, void *context,
                            struct error *error)
{
    struct loading *loading = context;
    int good = is_good(txn, loading, spare, error);
    if (good != 0)
        return good;
    loading->dropped++;
    return store_spare_delete(txn, spare->tree, error);
}

static int drop_bad(struct store_txn *txn, void *context, struct error *error)
{
    struct loading *loading = context;
    loading->dropped = 0;
    return visit_all(txn, drop_unless_good, loading, error);
}

/* It counts as used now: nobody knows when it was. */
static int give_to_pool(struct store_txn *txn, struct spare_record *spare, void *context,
                        struct error *error)
{
    (void) txn;
    (void) error;
    (void) pool_note_use(context, spare->snapshotter, spare->parent, clock_monotonic_ms());
    (void) pool_put(context, spare);
    return 0;
}

static int fill_pool(struct store *store, struct pool *pool, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(store, &txn, error);
    return rc == 0 ? visit_all(&txn, give_to_pool, pool, error) : rc;
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
