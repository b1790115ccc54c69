/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/held_tree.h"

#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "snapshotter/internal.h"
#include "snapshotter/source.h"

static int refuse_source(const char *source, struct error *error)
{
    return error_set(error, ERROR_UNIMPLEMENTED,
                     "%.400s is not the directory of a snapshot of clonefs", source);
}

/* Holds the owner of the tree, if it still is the owner when it is held: 1, or 0 when it is to be
 * looked up again. */
static int hold_owner(struct held_tree *tree, const char *source, struct error *error)
{
    struct snapshotter *snapshotter = tree->snapshotter;
    struct snapshot_record *record = &tree->record;
    owned(snapshot_record_clear) struct snapshot_record now = SNAPSHOT_RECORD_NULL;
    int found = snapshot_find_by_source(snapshotter, source, record, error);
    if (found <= 0)
        return found < 0 ? found : refuse_source(source, error);
    pins_hold(snapshotter->pins, record->snapshotter, record->key);
    found = snapshot_find_by_source(snapshotter, source, &now, error);
    if (found > 0 && strcmp(now.key, record->key) == 0)
        return 1;
    pins_unhold(snapshotter->pins, record->snapshotter, record->key);
    snapshot_record_clear(record);
    return found < 0 ? found : 0;
}

int held_tree_open(struct snapshotter *snapshotter, const char *source, struct held_tree *out_tree,
                   struct error *error)
{
    struct held_tree tree = {.snapshotter = snapshotter, .fd = -1};
    int rc = 0;
    while (rc == 0)
        rc = hold_owner(&tree, source, error);
    if (rc < 0)
        return rc;
    rc = snapshot_check_whole(&tree.record, error);
    if (rc == 0)
        rc = tree.fd = snapshot_open_tree(snapshotter, tree.record.tree, error);
    if (rc < 0) {
        held_tree_clear(&tree);
        return rc;
    }
    *out_tree = tree;
    return 0;
}

void held_tree_clear(struct held_tree *tree)
{
    if (!tree->snapshotter)
        return;
    pins_unhold(tree->snapshotter->pins, tree->record.snapshotter, tree->record.key);
    snapshot_record_clear(&tree->record);
    fd_close(&tree->fd);
    *tree = HELD_TREE_NULL;
}

bool held_tree_is_clone_of(const struct held_tree *child, const struct held_tree *origin,
                           struct timestamp *out_cloned)
{
    const struct snapshot_record *record = &child->record;
    if (origin->record.kind != SNAPSHOT_COMMITTED ||
        strcmp(record->snapshotter, origin->record.snapshotter) != 0 ||
        strcmp(record->parent, origin->record.key) != 0)
        return false;
    if (record->clone_epoch == 0 || record->clone_epoch != clock_epoch())
        return false;
    *out_cloned = record->cloned;
    return true;
}
