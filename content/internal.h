/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "base/sync_group.h"
#include "content/content.h"
#include "content/digest_locks.h"
#include "content/ingest_table.h"
#include "content/pace.h"
#include "content/reader_cache.h"

/* For content/ alone. */

struct content {
    struct store *store; /* set once, like all below but the tables */
    const struct store_root *root;
    struct trash *trash;
    struct content_options options;
    struct digest_locks digests;
    struct sync_group blob_dirs[DIGEST_SHA512 + 1]; /* by algorithm; the first is not used */
    struct ingest_table ingests;
    struct reader_cache *readers;
    struct recorder *recorder;
    struct scrub *scrub;
};

/* The name of a blob's file in the folder of its algorithm. */
struct blob_name {
    char text[DIGEST_TEXT_SIZE];
    const char *hex; /* within text */
};
void blob_name_make(struct blob_name *name, const struct digest *digest);

/* 1 if the blob is here and not known to be damaged, else 0; negative on errors. */
int content_has(struct content *content, const struct digest *digest, struct error *error);

/* The record, also of a damaged blob: 0, or ERROR_NOT_FOUND. The caller clears it. */
int blob_read_record(struct content *content, const struct digest *digest,
                     struct blob_record *out_record, struct error *error);

/* The same within a transaction. */
int blob_find(struct store_txn *txn, const struct digest *digest, struct blob_record *out_record,
              struct error *error);

/* Adds the data of fd from offset up to end to the digester, at the pace (may be NULL). ERROR_IO,
 * ERROR_CORRUPT when the file ends before, ERROR_CANCELLED. */
int content_digest_file(int fd, uint64_t offset, uint64_t end, struct digester *digester,
                        struct pace *pace, const struct cancel *cancel, struct error *error);

/* Makes the data of a new blob durable, and its file read-only. After a failure nobody knows what
 * of the data is on disk. */
int blob_flush(int fd, struct error *error);

/* Turns the file of a new blob, name in dirfd and open as fd, which is flushed, into the blob:
 * renames it into place and records it. record has digest, size and labels; ingest_id is forgotten
 * in the same commit. On failure the file is where it was. ERROR_EXISTS if the blob is here. */
int blob_publish(struct content *content, int dirfd, const char *name, int fd,
                 struct blob_record *record, uint64_t ingest_id, struct error *error);

/* What fstat says of the file: whether and when it was touched, and its size, which is
 * FILE_SIZE_NONE unless it is a regular one. */
#define FILE_SIZE_NONE UINT64_MAX
int file_stamp_read(int fd, struct file_stamp *out_stamp, uint64_t *out_size, struct error *error);

/* At start: what no record names goes to trash, and records of ingests without file go. Fills the
 * table of ingests. */
int content_sweep(struct content *content, struct error *error);

/* Records ingests a moment after they began or changed (recorder.c). */
int recorder_open(struct content *content, struct recorder **out_recorder, struct error *error);
void recorder_wake(struct recorder *recorder);
void recorder_close(struct recorder *recorder); /* records what is left; NULL is allowed */

/* Reads blobs again from time to time (scrub.c). */
int scrub_open(struct content *content, struct scrub **out_scrub, struct error *error);
void scrub_close(struct scrub *scrub); /* NULL is allowed */
