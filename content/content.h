/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/filter.h"
#include "store/blobs.h"
#include "store/root.h"
#include "tree/trash.h"

/*
 * Blobs (containerd-contract: core/content). A blob is a read-only file named by its digest and a
 * record; the record says that it is there. Ingests, which become blobs, are in content/ingest.h.
 * Every call is thread-safe, blocks on the disk and on nothing else, and is complete when it
 * returns.
 */
struct content;

struct content_options {
    uint64_t scrub_bytes_per_second; /* pace of the background scrub; 0 = none */
    unsigned scrub_days;             /* each blob is read again after so many days; 0 = default */
};

/*
 * Opens the service on a store and its root: finds the ingests of an earlier run, moves files
 * without record to trash, starts the background work. store, root and trash stay the caller's and
 * outlive it.
 */
int content_open(struct store *store, const struct store_root *root, struct trash *trash,
                 const struct content_options *options, struct content **out_content,
                 struct error *error);

/* Stops the background work. Nobody may hold an ingest or a reader. NULL is allowed. */
void content_close(struct content *content);

/* What an adoption did, in numbers of files. */
struct content_adoption {
    uint64_t adopted;
    uint64_t bytes;   /* of those */
    uint64_t present; /* were blobs already */
    uint64_t wrong;   /* do not match their name; they stay where they are */
    uint64_t skipped; /* are no blobs at all */
};

/* One line of text for whoever watches; called by one thread at a time. */
typedef void content_adopt_report(void *context, const char *line);

/*
 * Makes blobs of all files DIR/blobs/ALGORITHM/HEX that match their names: by clone, hard link (if
 * the file is read-only and ours, as containerd's are) or copy, whichever works; nothing in DIR is
 * changed. May be repeated. ERROR_PRECONDITION if DIR has no such folder; ERROR_IO, ERROR_NO_SPACE
 * when it had to stop, with what was adopted so far.
 */
int content_adopt(struct content *content, const char *dir, content_adopt_report *report,
                  void *context, struct content_adoption *out_adoption, struct error *error);

/* Info: ERROR_NOT_FOUND; ERROR_CORRUPT for a blob that is known to be damaged, so that containerd
 * does not share it with one more namespace but has it written again. The caller clears the record.
 */
int content_info(struct content *content, const struct digest *digest,
                 struct blob_record *out_record, struct error *error);

/* Update: labels by mask (labels_update); answers the new record. ERROR_NOT_FOUND, ERROR_INVALID.
 */
int content_update(struct content *content, const struct digest *digest,
                   const struct labels *labels, char *const *mask, size_t mask_count,
                   struct blob_record *out_record, struct error *error);

/* Begins reading for content_list_next. */
int content_list_begin(struct content *content, struct store_txn *out_txn, struct error *error);

/*
 * Looks at one record, the next after the position (enum filter_answer). The caller clears the
 * record if the filters match it. The position moves on but for FILTER_AGAIN. txn is an open read
 * transaction.
 */
int content_list_next(struct store_txn *txn, const struct filter_list *filters,
                      const struct patience *patience, struct store_blob_position *position,
                      struct blob_record *out_record, struct error *error);

/* Delete: success also if there is no such blob (contract 6.1). The data goes in the background;
 * who reads it reads on. */
int content_delete(struct content *content, const struct digest *digest, struct error *error);

/* A blob that is open for reading. */
struct blob_reader {
    struct open_blob *blob; /* NULL when closed */
    uint64_t size;
};

#define BLOB_READER_NULL ((struct blob_reader){0})

/*
 * Opens a blob. ERROR_NOT_FOUND; ERROR_CORRUPT when its file is missing, has another size, or does
 * not match the digest. The digest is computed only when the file was touched since that was last
 * done, which takes as long as reading it all; cancel is polled meanwhile.
 */
int blob_reader_open(struct content *content, const struct digest *digest,
                     const struct cancel *cancel, struct blob_reader *out_reader,
                     struct error *error);

/* The same for a blob that is still open from a moment ago, which never blocks: true, or false when
 * blob_reader_open has to be asked. */
bool blob_reader_open_hot(struct content *content, const struct digest *digest,
                          struct blob_reader *out_reader);
void blob_reader_close(struct blob_reader *reader); /* repeatable, usable with owned() */

/* Reads size bytes at offset, which the blob has. ERROR_CORRUPT if the file has become shorter. */
int blob_reader_read(const struct blob_reader *reader, void *buffer, size_t size, uint64_t offset,
                     struct error *error);

/* The same for bytes that are in memory, which never blocks: true, or false when blob_reader_read
 * has to be asked. */
bool blob_reader_read_hot(const struct blob_reader *reader, void *buffer, size_t size,
                          uint64_t offset);

/* Starts to read size bytes at offset, which the blob has, from disk, and does not wait. */
void blob_reader_prefetch(const struct blob_reader *reader, uint64_t size, uint64_t offset);

/*
 * Reads the whole blob from disk and compares it with its digest; the record notes the outcome.
 * 0, ERROR_NOT_FOUND (also when it is deleted meanwhile), ERROR_CORRUPT. For the scrub and for
 * checks; bytes_per_second paces it, 0 = as fast as it goes.
 */
int content_verify(struct content *content, const struct digest *digest, uint64_t bytes_per_second,
                   const struct cancel *cancel, struct error *error);
