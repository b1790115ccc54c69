/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "snapshotter/internal.h"
#include "snapshotter/rebuild.h"

int snapshot_stat(struct snapshotter *snapshotter, const char *name, const char *key,
                  struct snapshot_record *out_record, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(snapshotter->store, &txn, error);
    return rc == 0 ? snapshot_find(&txn, name, key, out_record, error) : rc;
}

int snapshot_mounts_at_once(struct snapshotter *snapshotter, const char *name, const char *key,
                            struct snapshot_mount *out_mount, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int rc = store_read_begin(snapshotter->store, &txn, error);
    if (rc == 0)
        rc = snapshot_find(&txn, name, key, &record, error);
    if (rc == 0)
        rc = snapshot_mount_of(snapshotter, &txn, &record, out_mount, error);
    return rc;
}

static int make_shown(struct snapshotter *snapshotter, const char *name, const char *key,
                      const struct cancel *cancel, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = snapshot_stat(snapshotter, name, key, &record, error);
    return rc == 0 ? snapshot_rebuild(snapshotter, name, record.parent, cancel, error) : rc;
}

int snapshot_mounts(struct snapshotter *snapshotter, const char *name, const char *key,
                    const struct cancel *cancel, struct snapshot_mount *out_mount,
                    struct error *error)
{
    int rc = snapshot_mounts_at_once(snapshotter, name, key, out_mount, error);
    while (rc == 1) {
        rc = make_shown(snapshotter, name, key, cancel, error);
        if (rc == 0)
            rc = snapshot_mounts_at_once(snapshotter, name, key, out_mount, error);
    }
    return rc;
}

struct update {
    const struct snapshot_request *request;
    char *const *mask;
    size_t mask_count;
    struct snapshot_record *out_record;
};

static int record_update(struct store_txn *txn, void *context, struct error *error)
{
    const struct update *update = context;
    const struct snapshot_request *request = update->request;
    snapshot_record_clear(update->out_record);
    int rc = snapshot_find(txn, request->snapshotter, request->key, update->out_record, error);
    if (rc == 0)
        rc = labels_update(&update->out_record->labels, request->labels, update->mask,
                           update->mask_count, error);
    if (rc == 0)
        rc = labels_check(&update->out_record->labels, error);
    if (rc != 0)
        return rc;
    update->out_record->updated = clock_now();
    return store_snapshot_put(txn, update->out_record, error);
}

int snapshot_update(struct snapshotter *snapshotter, const struct snapshot_request *request,
                    char *const *mask, size_t mask_count, struct snapshot_record *out_record,
                    struct error *error)
{
    struct update update = {
        .request = request, .mask = mask, .mask_count = mask_count, .out_record = out_record};
    int rc = store_write(snapshotter->store, record_update, &update, error);
    if (rc == 0)
        (void) fault_point("update.recorded");
    else
        snapshot_record_clear(out_record);
    return rc;
}

/* The fields of a snapshot that filters know (contract 5). */
static bool lookup(const void *object, const char *const *path, size_t count,
                   const char **out_value)
{
    static const char *const kinds[] = {
        [SNAPSHOT_VIEW] = "view", [SNAPSHOT_ACTIVE] = "active", [SNAPSHOT_COMMITTED] = "committed"};
    const struct snapshot_record *record = object;
    if (count != 1)
        return labels_lookup(&record->labels, path, count, out_value);
    if (strcmp(path[0], "name") == 0)
        *out_value = record->key;
    else if (strcmp(path[0], "parent") == 0)
        *out_value = record->parent;
    else if (strcmp(path[0], "kind") == 0)
        *out_value = kinds[record->kind];
    else
        return false;
    return true;
}

int snapshot_list_begin(struct snapshotter *snapshotter, struct store_txn *out_txn,
                        struct error *error)
{
    return store_read_begin(snapshotter->store, out_txn, error);
}

int snapshot_list_next(struct store_txn *txn, const char *name, const struct filter_list *filters,
                       const struct patience *patience, struct store_position *position,
                       struct snapshot_record *out_record, struct error *error)
{
    const struct store_position before = *position;
    int found = store_snapshot_next(txn, name, position, out_record, error);
    if (found <= 0)
        return found;
    int answer = filter_list_look(filters, lookup, out_record, patience, error);
    if (answer == FILTER_AGAIN)
        *position = before;
    if (answer != FILTER_MATCH)
        snapshot_record_clear(out_record);
    return answer;
}
