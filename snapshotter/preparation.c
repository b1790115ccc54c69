/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/preparation.h"

#include "base/cleanup.h"
#include "base/mem.h"
#include "snapshotter/build.h"
#include "store/spares.h"
#include "store/trees.h"

bool preparation_is_step(const struct preparation *preparation)
{
    const struct snapshot_request *request = preparation->request;
    return !preparation->snapshotter->options.layers_off && preparation->kind == SNAPSHOT_ACTIVE &&
           request->parent[0] && snapshot_is_of_unpacker(request->key, request->labels);
}

/* A use is worth a record's change so often. */
enum { USE_SECONDS = 3600 };

/* A layer can be made yet of what a client has written (client_step.h). */
static bool is_or_gets_rebuildable(const struct snapshot_record *record)
{
    return snapshot_is_rebuildable(record) ||
           (record->kind == SNAPSHOT_COMMITTED && record->fresh && record->parent[0]);
}

int snapshot_note_use(struct store_txn *txn, struct snapshot_record *record, bool shown,
                      struct error *error)
{
    struct timestamp now = clock_now();
    bool is_news =
        record->used.seconds + USE_SECONDS <= now.seconds || record->used.seconds > now.seconds;
    if (!is_or_gets_rebuildable(record) || (!is_news && (record->shown || !shown)))
        return 0;
    record->used = now;
    record->shown |= shown;
    return store_snapshot_put(txn, record, error);
}

bool snapshot_gives_tree(const struct snapshot_record *parent)
{
    return snapshot_is_rebuildable(parent) && parent->tree && parent->used.seconds == 0 &&
           !parent->shown;
}

static int note_use(struct store_txn *txn, const struct snapshot_request *request, bool shown,
                    struct error *error)
{
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    bool of_unpacker = snapshot_is_of_unpacker(request->key, request->labels);
    if (!request->parent[0] || (of_unpacker && !shown)) /* a mount is a mount, whoever made it */
        return 0;
    int rc = snapshot_find(txn, request->snapshotter, request->parent, &parent, error);
    return rc == 0 ? snapshot_note_use(txn, &parent, shown, error) : rc;
}

static struct snapshot_record new_record(const struct snapshot_request *request,
                                         enum snapshot_kind kind)
{
    struct timestamp now = clock_now();
    struct snapshot_record record = {.snapshotter = mem_strdup(request->snapshotter),
                                     .key = mem_strdup(request->key),
                                     .parent = mem_strdup(request->parent),
                                     .kind = kind,
                                     .created = now,
                                     .updated = now};
    record.fresh =
        kind == SNAPSHOT_ACTIVE && snapshot_is_of_unpacker(request->key, request->labels);
    labels_copy(&record.labels, request->labels);
    return record;
}

/* The parent can be used, and the key is free. */
static int check_request(struct store_txn *txn, const struct snapshot_request *request,
                         struct snapshot_record *out_parent, struct error *error)
{
    int rc = snapshot_find_parent(txn, request->snapshotter, request->parent, out_parent, error);
    return rc == 0 ? snapshot_check_free(txn, request->snapshotter, request->key, error) : rc;
}

int preparation_record(struct store_txn *txn, void *context, struct error *error)
{
    const struct preparation *preparation = context;
    const struct snapshot_request *request = preparation->request;
    int rc = snapshot_check_free(txn, request->snapshotter, request->key, error);
    if (rc == 0)
        rc = note_use(txn, request, false, error);
    if (rc != 0)
        return rc;
    owned(snapshot_record_clear) struct snapshot_record record =
        new_record(request, preparation->kind);
    record.tree = preparation->tree;
    record.cloned = preparation->cloned;
    record.clone_epoch = preparation->clone_epoch;
    rc = store_snapshot_put(txn, &record, error);
    if (rc == 0)
        rc = store_tree_set_unflushed(txn, record.tree, error);
    return rc;
}

int preparation_record_view(struct store_txn *txn, void *context, struct error *error)
{
    const struct preparation *preparation = context;
    const struct snapshot_request *request = preparation->request;
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    int rc = check_request(txn, request, &parent, error);
    if (rc == 0 && !parent.tree)
        return 1;
    if (rc == 0)
        rc = note_use(txn, request, true, error);
    if (rc != 0)
        return rc;
    owned(snapshot_record_clear) struct snapshot_record record = new_record(request, SNAPSHOT_VIEW);
    return store_snapshot_put(txn, &record, error);
}

int preparation_record_spare(struct store_txn *txn, void *context, struct error *error)
{
    const struct preparation *preparation = context;
    const struct snapshot_request *request = preparation->request;
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    int rc = check_request(txn, request, &parent, error);
    if (rc != 0)
        return rc;
    rc = store_spare_delete(txn, preparation->tree, error);
    if (rc <= 0)
        return rc < 0 ? rc : 1;
    return preparation_record(txn, context, error);
}

static int check_taken_over(struct store_txn *txn, const struct preparation *preparation,
                            struct snapshot_record *out_parent, struct error *error)
{
    const struct snapshot_request *request = preparation->request;
    int rc = check_request(txn, request, out_parent, error);
    if (rc == 0)
        rc = store_snapshot_has_children(txn, request->snapshotter, request->parent, error);
    if (rc == 0 && (!snapshot_gives_tree(out_parent) || out_parent->tree != preparation->tree))
        rc = 1;
    return rc;
}

int preparation_record_taken_over(struct store_txn *txn, void *context, struct error *error)
{
    const struct preparation *preparation = context;
    owned(snapshot_record_clear) struct snapshot_record parent = SNAPSHOT_RECORD_NULL;
    int rc = check_taken_over(txn, preparation, &parent, error);
    if (rc != 0)
        return rc;
    parent.tree = 0;
    rc = store_snapshot_put(txn, &parent, error);
    return rc == 0 ? preparation_record(txn, context, error) : rc;
}
