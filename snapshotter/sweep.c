/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "base/id_list.h"
#include "base/log.h"
#include "snapshotter/damage.h"
#include "snapshotter/internal.h"
#include "snapshotter/spares.h"
#include "store/trees.h"

/* So many snapshots that a flush did not reach are named in the log, and the rest counted. */
enum { UNFLUSHED_NAMED = 10 };

/* One of the folders that have an entry for each id: those of trees and of layers. */
struct swept_folder {
    const char *what;
    int fd;
    bool has_spares;
    int (*next)(struct store_txn *txn, uint64_t *inout_id, struct error *error);
};

static int list_recorded(struct store *store, const struct swept_folder *folder,
                         struct id_list *out_list, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(store, &txn, error);
    uint64_t id = 1;
    while (rc == 0 && (rc = folder->next(&txn, &id, error)) > 0) {
        id_list_add(out_list, id++);
        rc = 0;
    }
    if (rc == 0 && folder->has_spares)
        rc = spares_list(&txn, out_list, error);
    id_list_sort(out_list);
    return rc;
}

/* What cannot be moved stays for the next start: that is no reason not to serve the rest. */
static void discard(const struct store_root *root, const struct swept_folder *folder, uint64_t id)
{
    char name[ID_NAME_SIZE];
    id_name(id, name);
    if (renameat(folder->fd, name, root->trash_fd, name) != 0)
        log_warn("cannot move the unfinished %s %s to trash: errno %d", folder->what, name, errno);
}

static int mark_missing(struct store_txn *txn, void *context, struct error *error)
{
    const struct id_list *missing = context;
    int rc = 0;
    for (size_t i = 0; rc >= 0 && i < missing->count; i++) {
        owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
        rc = snapshot_damage(txn, missing->ids[i], &record, error);
    }
    return rc < 0 ? rc : 0;
}

/* What is recorded must be on disk. This is never our doing, so it is said loudly. */
static int report_missing(struct store *store, const struct swept_folder *folder,
                          struct id_list *missing, struct error *error)
{
    if (missing->count == 0)
        return 0;
    for (size_t i = 0; i < missing->count && i < 20; i++)
        log_error("%s %llu is recorded and not on disk", folder->what,
                  (unsigned long long) missing->ids[i]);
    log_error("%zu %ss are missing: snapshots that cannot be made again are marked as damaged",
              missing->count, folder->what);
    return store_write(store, mark_missing, missing, error);
}

static int sweep_folder(struct store *store, const struct store_root *root,
                        const struct swept_folder *folder, struct error *error)
{
    owned(id_list_clear) struct id_list recorded = {0};
    owned(id_list_clear) struct id_list on_disk = {0};
    owned(id_list_clear) struct id_list missing = {0};
    int rc = list_recorded(store, folder, &recorded, error);
    if (rc == 0)
        rc = id_list_read(&on_disk, folder->fd, error);
    size_t swept = 0;
    size_t r = 0;
    size_t d = 0;
    if (rc != 0)
        return rc;
    while (r < recorded.count || d < on_disk.count) {
        if (d == on_disk.count || (r < recorded.count && recorded.ids[r] < on_disk.ids[d])) {
            id_list_add(&missing, recorded.ids[r++]);
        } else if (r == recorded.count || on_disk.ids[d] < recorded.ids[r]) {
            discard(root, folder, on_disk.ids[d++]);
            swept++;
        } else {
            r++;
            d++;
        }
    }
    if (swept > 0)
        log_info("moved %zu unfinished %ss to trash", swept, folder->what);
    return report_missing(store, folder, &missing, error);
}

int snapshotter_sweep(struct store *store, const struct store_root *root, struct error *error)
{
    const struct swept_folder folders[] = {{"tree", root->trees_fd, true, store_tree_next},
                                           {"layer", root->layers_fd, false, store_layer_next}};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < sizeof folders / sizeof folders[0]; i++)
        rc = sweep_folder(store, root, &folders[i], error);
    return rc;
}

/* Marks one tree, and says of which snapshot it is unless silent. 1 if it is of one, else 0. */
static int damage_tree(struct store_txn *txn, const struct store_unflushed *unflushed, bool silent,
                       struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int found = snapshot_damage(txn, unflushed->tree, &record, error);
    if (found > 0 && !silent)
        log_warn("snapshot %s (%s) was not on disk yet when the machine went down: it is kept and "
                 "marked as damaged",
                 record.key, record.snapshotter);
    int rc = found < 0 ? found : store_tree_set_flushed(txn, unflushed, error);
    return rc < 0 ? rc : found;
}

static int damage_unflushed(struct store_txn *txn, void *context, struct error *error)
{
    size_t *out_count = context;
    struct store_unflushed *list = NULL;
    size_t trees = 0;
    int rc = store_tree_list_unflushed(txn, &list, &trees, error);
    *out_count = 0;
    for (size_t i = 0; rc >= 0 && i < trees; i++) {
        rc = damage_tree(txn, &list[i], *out_count >= UNFLUSHED_NAMED, error);
        *out_count += rc > 0;
    }
    free(list);
    return rc < 0 ? rc : store_note_boot(txn, error);
}

int snapshotter_mark_unflushed(struct store *store, struct error *error)
{
    size_t count = 0;
    int rc = store_write(store, damage_unflushed, &count, error);
    if (rc == 0 && count > UNFLUSHED_NAMED)
        log_warn("and %zu more snapshots were not on disk yet: they are kept and marked as damaged",
                 count - UNFLUSHED_NAMED);
    return rc;
}
