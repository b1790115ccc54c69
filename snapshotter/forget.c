/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "snapshotter/internal.h"
#include "snapshotter/spares.h"
#include "store/trees.h"

/* So many records go in one commit. */
#define BATCH 256
/* So many names are told at most. */
#define NAMES_MAX 8

struct forgetting {
    const char *name;
    unsigned count; /* out */
};

static int forget_batch(struct store_txn *txn, void *context, struct error *error)
{
    struct forgetting *forgetting = context;
    int rc = 1;
    for (forgetting->count = 0; rc > 0 && forgetting->count < BATCH; forgetting->count++) {
        owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
        struct store_position start = {0};
        rc = store_snapshot_next(txn, forgetting->name, &start, &record, error);
        if (rc <= 0)
            break;
        int deleted = store_snapshot_delete(txn, &record, error);
        if (deleted < 0)
            rc = deleted;
    }
    owned(id_list_clear) struct id_list spares = {0}; /* the sweep finds their trees */
    return rc < 0 ? rc : spares_drop(txn, forgetting->name, NULL, &spares, error);
}

/* Who has snapshots here: one name as a rule. */
struct names {
    char *items[NAMES_MAX];
    size_t count;
};

static void names_clear(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        mem_free(&names->items[i]);
    names->count = 0;
}

static void add_name(struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return;
    if (names->count < NAMES_MAX)
        names->items[names->count++] = mem_strdup(name);
}

/* Snapshots without a tree are not met, but each has a parent of the same name that is. */
static int list_names(struct store *store, struct names *names, struct error *error)
{
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    uint64_t tree = 1;
    int rc = store_read_begin(store, &txn, error);
    while (rc == 0 && (rc = store_tree_next(&txn, &tree, error)) > 0) {
        owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
        rc = store_tree_owner(&txn, tree++, &record, error);
        if (rc > 0)
            add_name(names, record.snapshotter);
        rc = rc < 0 ? rc : 0;
    }
    return rc;
}

static int raise_none(struct store *store, const char *name, struct error *error)
{
    owned(names_clear) struct names names = {0};
    char list[400] = "";
    int rc = list_names(store, &names, error);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < names.count; i++) {
        size_t used = strlen(list);
        (void) snprintf(list + used, sizeof list - used, "%s%s", used ? ", " : "", names.items[i]);
    }
    return error_set(error, ERROR_NOT_FOUND,
                     "there are no snapshots of the snapshotter %.200s in this store; it has %s%s",
                     name, names.count ? "those of " : "none at all", list);
}

/* Parents may go before their children here: all of the name goes. */
int snapshotter_forget(struct store *store, const struct store_root *root, const char *name,
                       uint64_t *out_count, struct error *error)
{
    struct forgetting forgetting = {.name = name};
    *out_count = 0;
    do {
        int rc = store_write(store, forget_batch, &forgetting, error);
        if (rc != 0)
            return rc;
        *out_count += forgetting.count;
    } while (forgetting.count > 0);
    if (*out_count == 0)
        return raise_none(store, name, error);
    int rc = snapshotter_sweep(store, root, error);
    if (rc == 0)
        trash_drain(root->trash_fd);
    return rc;
}
