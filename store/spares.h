/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/clock.h"
#include "store/store.h"

/*
 * Spares: finished clones of committed snapshots' trees, on disk and flushed, that no snapshot has
 * yet. There are few of them. Their trees have no owner (store/trees.h).
 */
struct spare_record {
    uint64_t tree;
    char *snapshotter;
    char *parent;            /* the key of the snapshot that it is a clone of */
    struct timestamp cloned; /* as in snapshot_record, with clone_epoch */
    uint64_t clone_epoch;
    uint64_t entries; /* files of every kind */
};

#define SPARE_RECORD_NULL ((struct spare_record){0})

/* Frees what the record holds; repeatable, usable with owned(). */
void spare_record_clear(struct spare_record *record);

int store_spare_put(struct store_txn *txn, const struct spare_record *record, struct error *error);

/* 1, or 0 if there was none; negative on errors. */
int store_spare_delete(struct store_txn *txn, uint64_t tree, struct error *error);

/* The first spare whose tree has at least the id tree: 1 and the record (the caller clears it), or
 * 0 when there is none. */
int store_spare_next(struct store_txn *txn, uint64_t tree, struct spare_record *out_record,
                     struct error *error);
