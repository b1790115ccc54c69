/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/uio.h>

#include "content/content.h"

/*
 * Ingests: blobs that are being written, named by a client's ref (contract 6.2). One writer at a
 * time holds an ingest; its data stays when the writer goes, over restarts, too. An ingest of which
 * the last 50 ms are all its life may be lost by a kill: the client then begins anew.
 */
struct ingest;

struct ingest_status {
    char *ref;
    char *expected; /* digest, or "" */
    uint64_t offset;
    uint64_t total; /* 0 = unknown */
    struct timestamp started;
    struct timestamp updated;
};

#define INGEST_STATUS_NULL ((struct ingest_status){0})

void ingest_status_clear(struct ingest_status *status); /* repeatable, usable with owned() */

/* Status: ERROR_NOT_FOUND. The caller clears the status. */
int content_ingest_status(struct content *content, const char *ref,
                          struct ingest_status *out_status, struct error *error);

/* ListStatuses: those that the filters match, in an array of which the caller clears each and frees
 * the whole, also after an error: ERROR_CANCELLED, or ERROR_BUSY when the time was over. */
int content_ingest_list(struct content *content, const struct filter_list *filters,
                        const struct patience *patience, struct ingest_status **out_list,
                        size_t *out_count, struct error *error);

/* Abort: drops ref and its data; success also if there is none. A writer that holds it finds out
 * with its next message. */
int content_ingest_abort(struct content *content, const char *ref, struct error *error);

/*
 * Takes the ingest of ref, which is made if need be. expected is a digest or NULL, total 0 if
 * unknown; another total than an earlier writer's, both known, discards the data. ERROR_BUSY while
 * somebody else holds it; ERROR_EXISTS if expected is here already. Give it back with
 * ingest_release, or let ingest_commit end it.
 */
int ingest_take(struct content *content, const char *ref, const struct digest *expected,
                uint64_t total, struct ingest **out_ingest, struct error *error);

/* Lets go of the ingest; its data stays. NULL is allowed. */
void ingest_release(struct ingest *ingest);

/* What the client announces: expected is a digest or NULL, total 0 if unknown. ERROR_EXISTS, and
 * the data is dropped, if expected is here already; ERROR_NOT_FOUND when the ingest was aborted. */
int ingest_announce(struct ingest *ingest, const struct digest *expected, uint64_t total,
                    struct error *error);

/* Prepares for data at offset: 0 empties the ingest, every other offset must be where it ends, else
 * ERROR_OUT_OF_RANGE. */
int ingest_seek(struct ingest *ingest, int64_t offset, struct error *error);

/* Appends the data of all segments or, on failure, nothing. ERROR_NO_SPACE, ERROR_IO,
 * ERROR_NOT_FOUND when it was aborted. When it turns out that the disk did not take what came
 * before, the ingest is empty afterwards. */
int ingest_append(struct ingest *ingest, const struct iovec *segments, size_t count,
                  struct error *error);

/* The digest will be one of the algorithm that was announced, if any. */
void ingest_use_wanted_algorithm(struct ingest *ingest);

/* Bytes of which the running digest does not know yet, because a restart forgot it or the algorithm
 * is another one: ingest_read_digest and ingest_commit have to read them. */
uint64_t ingest_unread_bytes(const struct ingest *ingest);

/* The digest of all data so far. ERROR_IO, ERROR_CANCELLED. */
int ingest_read_digest(struct ingest *ingest, const struct cancel *cancel,
                       struct digest *out_digest, struct error *error);

/* Where the ingest stands; bytes. */
uint64_t ingest_offset(const struct ingest *ingest);
uint64_t ingest_total(const struct ingest *ingest);
void ingest_read_times(struct ingest *ingest, struct timestamp *out_started,
                       struct timestamp *out_updated);

/*
 * Makes the ingest the blob of its digest, durably: when this returns 0, a power cut keeps it.
 * ERROR_PRECONDITION if its size is not what was announced or its digest not what was expected, and
 * every other error but ERROR_EXISTS, which drops the ingest, keep the data. After a failing flush
 * nobody knows what is on disk, and the next one would succeed: then the data is read back from
 * disk before it becomes a blob, and the ingest is emptied if it is not what came. The writer calls
 * ingest_release in any case.
 */
int ingest_commit(struct ingest *ingest, const struct labels *labels, const struct cancel *cancel,
                  struct error *error);
