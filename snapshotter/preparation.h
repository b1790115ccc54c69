/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/internal.h"

/* One Prepare, or one View, on its way to a record. */
struct preparation {
    struct snapshotter *snapshotter;
    const struct snapshot_request *request;
    enum snapshot_kind kind;
    uint64_t tree;
    struct timestamp cloned;
    uint64_t clone_epoch;
};

/* True for the next step of an unpacking, where layers are kept: it may get its parent's tree. */
bool preparation_is_step(const struct preparation *preparation);

/* Changes of the store, of which the context is a struct preparation: the new snapshot is recorded,
 * and that its parent was used. */

/* With the tree that was made for it. */
int preparation_record(struct store_txn *txn, void *context, struct error *error);

/* A view of its parent's tree is a record and nothing else. 1 if the parent has no tree. */
int preparation_record_view(struct store_txn *txn, void *context, struct error *error);

/* A spare becomes the snapshot's tree. 1 if it is none any more. */
int preparation_record_spare(struct store_txn *txn, void *context, struct error *error);

/* The tree of its parent becomes the snapshot's. 1 if the parent needs it. */
int preparation_record_taken_over(struct store_txn *txn, void *context, struct error *error);

/* Notes, if it matters, that others than an unpacker use the tree of a committed snapshot, which is
 * shown if a view has it for its own. */
int snapshot_note_use(struct store_txn *txn, struct snapshot_record *record, bool shown,
                      struct error *error);

/* True if an unpacker's next step may have its parent's tree: that can be made again, and nobody
 * else uses it or has used it. */
bool snapshot_gives_tree(const struct snapshot_record *parent);
