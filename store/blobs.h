/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/clock.h"
#include "base/digest.h"
#include "base/labels.h"
#include "store/store.h"

/*
 * Records of blobs, named by digest. All calls take an open transaction; those that write need the
 * one that a store_change got.
 */

/* What tells whether a file was touched since it was looked at. */
struct file_stamp {
    uint64_t inode;
    struct timestamp changed; /* ctime */
};

struct blob_record {
    struct digest digest;
    uint64_t size; /* bytes */
    struct timestamp created;
    struct timestamp updated;
    struct labels labels;
    struct file_stamp stamp;   /* of the file when its bytes were last known to be the right ones */
    struct timestamp verified; /* when they were last read and compared with the digest */
    bool damaged;              /* then they were not the right ones */
};

#define BLOB_RECORD_NULL ((struct blob_record){0})

/* Frees what the record holds; repeatable, usable with owned(). */
void blob_record_clear(struct blob_record *record);

/* 1 and the record (the caller clears it), or 0 when there is none; negative on errors. */
int store_blob_get(struct store_txn *txn, const struct digest *digest,
                   struct blob_record *out_record, struct error *error);

/* 1 if there is a record, else 0. Reads no more than the key. */
int store_blob_has(struct store_txn *txn, const struct digest *digest, struct error *error);

/* Adds or replaces the record. */
int store_blob_put(struct store_txn *txn, const struct blob_record *record, struct error *error);

/* 0 also if there was none. */
int store_blob_delete(struct store_txn *txn, const struct digest *digest, struct error *error);

/* A place in the list of blobs; starts zeroed, survives transactions. */
struct store_blob_position {
    struct digest digest;
    bool started;
};

/* The next blob after the position, which moves on, in the order of algorithm and digest: 1, or 0
 * at the end. */
int store_blob_next(struct store_txn *txn, struct store_blob_position *position,
                    struct blob_record *out_record, struct error *error);
