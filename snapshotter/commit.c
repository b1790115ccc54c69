/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/mem.h"
#include "snapshotter/internal.h"
#include "store/trees.h"

/*
 * Commit changes the record and no file: it runs inside containerd's only write transaction
 * (contract 3.4). What the client wrote is flushed and measured afterwards.
 */
struct commit {
    const struct snapshot_request *request;
    const char *active_key;
    uint64_t tree;    /* out */
    bool of_unpacker; /* out */
};

/*
 * containerd's own names are NAMESPACE/NUMBER/NAME with a number that it uses once. Such a name
 * can be taken only if containerd's root was wiped (or a crash undid its half of the commit);
 * AlreadyExists would be taken for success there, and the user would never see why the parent
 * of the next layer is missing.
 */
static bool is_numbered(const char *name)
{
    const char *number = strchr(name, '/');
    size_t digits = number ? strspn(number + 1, "0123456789") : 0;
    return digits > 0 && number[1 + digits] == '/';
}

static int check_name(struct store_txn *txn, const struct snapshot_request *request,
                      struct error *error)
{
    int rc = snapshot_check_free(txn, request->snapshotter, request->key, error);
    return is_numbered(request->key) ? snapshot_exists_as_precondition(rc, error) : rc;
}

static int check_active(const struct snapshot_record *active, const struct commit *commit,
                        struct error *error)
{
    const char *parent = commit->request->parent;
    if (active->kind != SNAPSHOT_ACTIVE)
        return error_set(error, ERROR_PRECONDITION, "snapshot %s is not active", active->key);
    int rc = snapshot_check_whole(active, error);
    if (rc != 0)
        return rc;
    if (!parent[0] || strcmp(parent, active->parent) == 0)
        return 0;
    if (active->parent[0])
        return error_set(error, ERROR_INVALID, "snapshot %s has the parent %s, not %s", active->key,
                         active->parent, parent);
    return error_set(error, ERROR_UNIMPLEMENTED,
                     "snapshot %s has no parent and cannot get one at its commit (the capability "
                     "rebase is not offered)",
                     active->key);
}

/* It may be the top of an image. */
static void note_top(struct snapshotter *snapshotter, const char *name, const char *key)
{
    if (!snapshotter->pool)
        return;
    pool_note_top(snapshotter->pool, name, key, clock_monotonic_ms());
    spare_maker_wake(snapshotter->spare_maker);
}

static int record_commit(struct store_txn *txn, void *context, struct error *error)
{
    struct commit *commit = context;
    const struct snapshot_request *request = commit->request;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    int rc = check_name(txn, request, error);
    if (rc == 0)
        rc = snapshot_find(txn, request->snapshotter, commit->active_key, &record, error);
    if (rc == 0)
        rc = check_active(&record, commit, error);
    if (rc == 0)
        rc = store_snapshot_delete(txn, &record, error);
    if (rc != 0)
        return rc;
    commit->of_unpacker = snapshot_is_of_unpacker(record.key, &record.labels);
    mem_free(&record.key);
    record.key = mem_strdup(request->key);
    record.kind = SNAPSHOT_COMMITTED;
    record.created = record.updated = clock_now();
    labels_copy(&record.labels, request->labels);
    commit->tree = record.tree;
    bool on_disk = record.unpacked;
    record.unpacked = false;
    record.measured = record.layer != 0; /* when it was made */
    rc = store_snapshot_put(txn, &record, error);
    if (rc == 0 && !on_disk)
        rc = store_tree_set_unflushed(txn, record.tree, error);
    if (rc == 0 && !on_disk && record.layer)
        rc = store_tree_set_unflushed(txn, record.layer, error);
    return rc;
}

int snapshot_commit(struct snapshotter *snapshotter, const struct snapshot_request *request,
                    const char *active_key, struct error *error)
{
    struct commit commit = {.request = request, .active_key = active_key};
    /* AlreadyExists would say that the name is committed; but the Prepare may fail yet. */
    if (pins_is_reserved(snapshotter->pins, request->snapshotter, request->key))
        return error_set(error, ERROR_BUSY, "snapshot %s is being prepared by another request",
                         request->key);
    int rc = pins_begin_commit(snapshotter->pins, request->snapshotter, active_key, error);
    if (rc != 0)
        return rc;
    rc = store_write(snapshotter->store, record_commit, &commit, error);
    pins_decided(snapshotter->pins, request->snapshotter, active_key);
    if (rc != 0)
        return rc;
    (void) fault_point("commit.recorded");
    usage_cache_drop(snapshotter->usage, commit.tree);
    flusher_wake(snapshotter->flusher);
    if (commit.of_unpacker)
        note_top(snapshotter, request->snapshotter, request->key);
    snapshot_after_commit(snapshotter, request->snapshotter, request->key);
    return 0;
}
