/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/build.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "tree/layer.h"

/* What a tree is made of. */
struct chain {
    struct snapshotter *snapshotter;
    struct snapshot_record base; /* has a tree */
    bool held;                   /* the base is */
    struct id_list layers;       /* above it, the topmost first */
};

static void chain_clear(struct chain *chain)
{
    if (chain->held)
        pins_unhold(chain->snapshotter->pins, chain->base.snapshotter, chain->base.key);
    snapshot_record_clear(&chain->base);
    id_list_clear(&chain->layers);
}

bool snapshot_is_rebuildable(const struct snapshot_record *record)
{
    return record->kind == SNAPSHOT_COMMITTED && record->layer && record->parent[0];
}

static int check_link(const struct snapshot_record *record, const char *top, struct error *error)
{
    if (!record->damaged && (record->tree || snapshot_is_rebuildable(record)))
        return 0;
    return error_set(error, ERROR_PRECONDITION,
                     "snapshot %s cannot be made again, since %s below it is damaged: remove its "
                     "image and fetch it again",
                     top, record->key);
}

/* Goes down from the snapshot to one that has a tree. */
static int go_down(struct store_txn *txn, const struct snapshot_record *top, struct chain *chain,
                   struct error *error)
{
    int rc = snapshot_find(txn, top->snapshotter, top->key, &chain->base, error);
    chain->layers.count = 0;
    while (rc == 0) {
        rc = check_link(&chain->base, top->key, error);
        if (rc != 0 || chain->base.tree)
            break;
        id_list_add(&chain->layers, chain->base.layer);
        owned(snapshot_record_clear) struct snapshot_record above = chain->base;
        chain->base = SNAPSHOT_RECORD_NULL;
        rc = snapshot_find(txn, above.snapshotter, above.parent, &chain->base, error);
    }
    return rc;
}

static int find_chain(const struct snapshot_record *top, struct chain *chain, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(chain->snapshotter->store, &txn, error);
    return rc == 0 ? go_down(&txn, top, chain, error) : rc;
}

/* Finds the base and holds it; then looks whether its tree is still there, since that may have gone
 * in between. */
static int hold_chain(const struct snapshot_record *top, struct chain *chain, struct error *error)
{
    int rc = find_chain(top, chain, error);
    while (rc == 0) {
        struct chain again = {.snapshotter = chain->snapshotter};
        pins_hold(chain->snapshotter->pins, chain->base.snapshotter, chain->base.key);
        chain->held = true;
        rc = find_chain(top, &again, error);
        bool same = rc == 0 && again.base.tree == chain->base.tree;
        if (same) {
            chain_clear(&again);
            return 0;
        }
        chain_clear(chain);
        *chain = again;
    }
    return rc;
}

static int open_layers(const struct chain *chain, int *fds, struct error *error)
{
    size_t count = chain->layers.count;
    for (size_t i = 0; i < count; i++) {
        char name[ID_NAME_SIZE];
        id_name(chain->layers.ids[count - 1 - i], name);
        fds[i] = fd_open_dir(chain->snapshotter->root->layers_fd, name);
        if (fds[i] < 0)
            return errno == ENOENT
                       ? error_set(error, ERROR_CORRUPT, "the layer %s is missing", name)
                       : error_errno(error, "cannot open the layer %s", name);
    }
    return 0;
}

static int put_layers(const struct chain *chain, int dirfd,
                      const struct tree_clone_options *options, struct tree_clone_result *result,
                      struct error *error)
{
    size_t count = chain->layers.count;
    const struct layer_options layer_options = {.threads = options->threads,
                                                .cancel = options->cancel};
    owned(fd_close) int tree_fd = fd_open_dir(dirfd, "fs");
    if (tree_fd < 0)
        return error_errno(error, "cannot open the new tree");
    owned(mem_free) int *fds = mem_alloc_array(count, sizeof *fds);
    for (size_t i = 0; i < count; i++)
        fds[i] = -1;
    int rc = open_layers(chain, fds, error);
    if (rc == 0)
        rc = layers_put(fds, count, tree_fd, &layer_options, &result->time, error);
    for (size_t i = 0; i < count; i++)
        fd_close(&fds[i]);
    return rc;
}

static int build(const struct chain *chain, const char *key, int dirfd,
                 const struct tree_clone_options *options, struct tree_clone_result *out_result,
                 struct error *error)
{
    owned(fd_close) int base_fd = snapshotter_open_folder(chain->snapshotter, chain->base.tree);
    if (base_fd < 0)
        return error_errno(error, "cannot open the tree of snapshot %s", chain->base.key);
    int rc = snapshot_clone_tree(chain->snapshotter, base_fd, chain->held, dirfd, options,
                                 out_result, error);
    if (rc != 0 || chain->layers.count == 0)
        return rc;
    rc = put_layers(chain, dirfd, options, out_result, error);
    if (rc == ERROR_CORRUPT) {
        (void) error_wrap(
            error, "snapshot %s cannot be made again: remove its image and fetch it again", key);
        if (error)
            error->code = ERROR_PRECONDITION;
        return ERROR_PRECONDITION;
    }
    (void) fault_point("tree.rebuilt");
    return rc;
}

int snapshot_build(struct snapshotter *snapshotter, const struct snapshot_record *parent, int dirfd,
                   const struct tree_clone_options *options, struct tree_clone_result *out_result,
                   struct error *error)
{
    owned(chain_clear) struct chain chain = {.snapshotter = snapshotter};
    int rc = hold_chain(parent, &chain, error);
    return rc == 0 ? build(&chain, parent->key, dirfd, options, out_result, error) : rc;
}

int snapshot_build_unheld(struct snapshotter *snapshotter, const struct snapshot_record *parent,
                          int dirfd, const struct tree_clone_options *options,
                          struct tree_clone_result *out_result, uint64_t *out_origin,
                          struct error *error)
{
    owned(chain_clear) struct chain chain = {.snapshotter = snapshotter};
    int rc = find_chain(parent, &chain, error);
    *out_origin = chain.base.tree;
    return rc == 0 ? build(&chain, parent->key, dirfd, options, out_result, error) : rc;
}

int snapshot_find_origin(struct store_txn *txn, const struct snapshot_record *parent,
                         uint64_t *out_origin, struct error *error)
{
    owned(chain_clear) struct chain chain = {0};
    int rc = go_down(txn, parent, &chain, error);
    *out_origin = chain.base.tree;
    return rc;
}
