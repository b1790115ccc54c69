/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cancel.h"
#include "base/error.h"
#include "snapshotter/snapshotter.h"
#include "tree/path_list.h"

/*
 * An active snapshot into which a layer is being unpacked. Meanwhile its Commit is refused, and its
 * Remove stops the unpacking.
 */
struct snapshot_unpacking;

/*
 * Begins with the snapshot whose mount has this source. outer stops the work, too; it may be NULL
 * and must outlive it. ERROR_UNIMPLEMENTED if the source is none of our trees, since somebody else
 * may know it; ERROR_PRECONDITION if it is one of ours and no active snapshot (any more), is
 * damaged, or another layer is being unpacked there. End with snapshot_unpacking_clear.
 */
int snapshot_unpacking_begin(struct snapshotter *snapshotter, const char *source,
                             const struct cancel *outer, struct snapshot_unpacking **out_unpacking,
                             struct error *error);

/* The root directory, opened before the first write. */
int snapshot_unpacking_fd(const struct snapshot_unpacking *unpacking);
const struct snapshot_record *snapshot_unpacking_record(const struct snapshot_unpacking *unpacking);

/* Requested when the snapshot was removed, or with outer. */
const struct cancel *snapshot_unpacking_cancel(const struct snapshot_unpacking *unpacking);

/* Where the paths of all that is changed go (tree/layer.h), or NULL if nobody wants to know. */
struct path_list *snapshot_unpacking_touched(struct snapshot_unpacking *unpacking);

struct unpacked {
    bool durable;      /* it must not get lost any more */
    bool touched_lost; /* the list of changes is not complete */
};

/*
 * All is unpacked. For an unpacker (its key or labels say so), into whose snapshot nobody else
 * writes, this makes the layer. If it is to be durable, it flushes the volume, and notes that such
 * a snapshot need not be flushed again when it is committed. ERROR_IO, ERROR_NO_SPACE: it may not
 * be on disk; ERROR_CANCELLED.
 */
int snapshot_unpacking_finish(struct snapshot_unpacking *unpacking, const struct unpacked *unpacked,
                              struct error *error);

/* Ends the unpacking, complete or not. For owned(); NULL is allowed. */
void snapshot_unpacking_clear(struct snapshot_unpacking **unpacking);
