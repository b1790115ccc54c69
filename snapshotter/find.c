/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "snapshotter/internal.h"

int snapshot_find(struct store_txn *txn, const char *name, const char *key,
                  struct snapshot_record *out_record, struct error *error)
{
    int found = store_snapshot_get(txn, name, key, out_record, error);
    if (found < 0)
        return found;
    return found ? 0 : error_set(error, ERROR_NOT_FOUND, "snapshot %s does not exist", key);
}

/* containerd numbers its keys itself, so that an old one comes again only when its root was wiped.
 */
int snapshot_check_free(struct store_txn *txn, const char *name, const char *key,
                        struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int found = store_snapshot_get(txn, name, key, &record, error);
    if (found <= 0)
        return found;
    char day[32];
    struct tm utc;
    time_t created = (time_t) record.created.seconds;
    if (!gmtime_r(&created, &utc) || strftime(day, sizeof day, "%Y-%m-%d %H:%M:%S", &utc) == 0)
        day[0] = '\0';
    return error_set(error, ERROR_EXISTS,
                     "snapshot %.400s exists since %s UTC; if containerd's own root was wiped or "
                     "replaced since then, its keys start again: stop clonefsd, run it once with "
                     "--forget-snapshotter %.200s, and start it again",
                     key, day, name);
}

int snapshot_exists_as_precondition(int rc, struct error *error)
{
    if (rc != ERROR_EXISTS)
        return rc;
    if (error)
        error->code = ERROR_PRECONDITION;
    return ERROR_PRECONDITION;
}

bool snapshot_is_of_unpacker(const char *key, const struct labels *labels)
{
    const char *name = strrchr(key, '/');
    name = name ? name + 1 : key;
    return strncmp(name, "extract-", sizeof "extract-" - 1) == 0 ||
           labels_get(labels, "containerd.io/snapshot.ref");
}

/* A flush that failed, a tree that is not there, or a start after a machine went down marked it. */
#define MAY_BE_DAMAGED                                                                             \
    "may be damaged: it was not on disk yet when the machine went down, or the volume lost data; "

int snapshot_check_whole(const struct snapshot_record *record, struct error *error)
{
    if (!record->damaged)
        return 0;
    return error_set(error, ERROR_PRECONDITION,
                     "snapshot %s " MAY_BE_DAMAGED "remove it and prepare it again", record->key);
}

int snapshot_find_parent(struct store_txn *txn, const char *name, const char *parent,
                         struct snapshot_record *out_parent, struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int found = store_snapshot_get(txn, name, parent, &record, error);
    if (found < 0)
        return found;
    if (found == 0)
        return error_set(error, ERROR_NOT_FOUND, "parent snapshot %s does not exist", parent);
    if (record.kind != SNAPSHOT_COMMITTED)
        return error_set(error, ERROR_INVALID, "parent snapshot %s is not committed", parent);
    if (record.damaged)
        return error_set(error, ERROR_PRECONDITION,
                         "parent snapshot %s " MAY_BE_DAMAGED "remove its image and fetch it again",
                         parent);
    *out_parent = record;
    record = SNAPSHOT_RECORD_NULL;
    return 0;
}

void snapshot_mount_clear(struct snapshot_mount *mount)
{
    mem_free(&mount->source);
}

static void fill_mount(const struct snapshotter *snapshotter, uint64_t tree, bool read_only,
                       struct snapshot_mount *out_mount)
{
    out_mount->source =
        mem_printf("%s/trees/%llu/fs", snapshotter->root->path, (unsigned long long) tree);
    out_mount->read_only = read_only;
}

int snapshot_mount_of(struct snapshotter *snapshotter, struct store_txn *txn,
                      const struct snapshot_record *record, struct snapshot_mount *out_mount,
                      struct error *error)
{
    if (record->kind == SNAPSHOT_COMMITTED)
        return error_set(error, ERROR_PRECONDITION, "snapshot %s is committed and has no mounts",
                         record->key);
    int rc = snapshot_check_whole(record, error);
    if (rc != 0)
        return rc;
    if (record->tree) {
        bool empty_view = record->kind == SNAPSHOT_VIEW && !record->parent[0];
        fill_mount(snapshotter, record->tree, empty_view, out_mount);
        return 0;
    }
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    rc = snapshot_find(txn, record->snapshotter, record->parent, &parent, error);
    if (rc == 0 && !parent.tree)
        return 1;
    if (rc == 0)
        fill_mount(snapshotter, parent.tree, true, out_mount);
    return rc;
}
