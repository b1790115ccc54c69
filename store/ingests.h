/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/clock.h"
#include "store/store.h"

/*
 * Records of ingests, named by the id that their data file bears. Which ref an ingest belongs to is
 * kept in memory by content/; these records are what a restart finds it by. All calls take an open
 * transaction; those that write need the one that a store_change got.
 */
struct ingest_record {
    uint64_t id;
    char *ref;      /* any string that a client may send */
    char *expected; /* digest that the client announced, or "" */
    uint64_t total; /* bytes announced; 0 = unknown */
    struct timestamp started;
    uint64_t inode; /* of its file; 0 = unknown */
};

#define INGEST_RECORD_NULL ((struct ingest_record){0})

/* Frees what the record holds; repeatable, usable with owned(). */
void ingest_record_clear(struct ingest_record *record);

/* Adds or replaces the record of record->id. */
int store_ingest_put(struct store_txn *txn, const struct ingest_record *record,
                     struct error *error);

/* 0 also if there was none. */
int store_ingest_delete(struct store_txn *txn, uint64_t id, struct error *error);

/* The first ingest whose id is at least min_id: 1 and the record (the caller clears it), or 0. */
int store_ingest_next(struct store_txn *txn, uint64_t min_id, struct ingest_record *out_record,
                      struct error *error);
