/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/labels.h"
#include "diff/sink.h"
#include "diff/source.h"

/*
 * containerd as we call it back (contract 7.3, 7.6): its Content API, which knows the blobs of a
 * namespace, and its leases. It may call our own services before it answers, so nothing is locked
 * and no worker of theirs is held meanwhile. Thread-safe but for the objects of one blob.
 */
struct containerd_client;

/* path: containerd's socket. Connects when needed. */
int containerd_client_new(const char *path, struct containerd_client **out_client,
                          struct error *error);
void containerd_client_free(struct containerd_client *client); /* NULL is allowed */

/* In whose name a call is made. */
struct containerd_scope {
    const char *namespace_name;
    const char *lease; /* id, or NULL: none */
    const struct cancel *cancel;
};

/* Opens a blob for reading in one stream from its start: ERROR_NOT_FOUND; ERROR_BUSY, with a text
 * that names the socket and the configuration key, when containerd cannot be reached. */
int containerd_blob_open(struct containerd_client *client, const struct containerd_scope *scope,
                         const struct digest *digest, struct layer_source **out_source,
                         struct error *error);

/* Makes a lease that keeps what is written with it for expire_seconds. Free *out_id with mem_free.
 */
int containerd_lease_new(struct containerd_client *client, const struct containerd_scope *scope,
                         unsigned expire_seconds, char **out_id, struct error *error);
/* Also for a caller who has gone away: the scope's cancel does not stop it. */
int containerd_lease_delete(struct containerd_client *client, const struct containerd_scope *scope,
                            const char *id, struct error *error);

/* A blob being written through containerd: first its bytes go to the sink, then it is committed. */
struct containerd_writer;

/* Opens ref, from its beginning, whatever it held. One that somebody else writes is waited for ten
 * seconds, and is ERROR_BUSY then. */
int containerd_writer_open(struct containerd_client *client, const struct containerd_scope *scope,
                           const char *ref, struct containerd_writer **out_writer,
                           struct error *error);
struct layer_sink *containerd_writer_sink(struct containerd_writer *writer);

/* Commits what was written as digest with the labels. A blob that is there already comes under the
 * lease and gets those of the labels that it lacks. 0 in both cases: containerd has the blob, with
 * the labels. */
int containerd_writer_commit(struct containerd_writer *writer, const struct digest *digest,
                             uint64_t size, const struct labels *labels, struct error *error);

/* Gives up unless committed (the ref is aborted), and frees. For owned(); NULL is allowed. */
void containerd_writer_clear(struct containerd_writer **writer);
