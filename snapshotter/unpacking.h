/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cancel.h"
#include "base/error.h"
#include "snapshotter/snapshotter.h"

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

/*
 * The layer is complete. Flushes the volume, and notes that nothing of it can be lost any more: a
 * snapshot of an unpacker (its key or labels say so), into which nobody else writes, need not be
 * flushed again when it is committed. ERROR_IO, ERROR_NO_SPACE: it may not be on disk.
 */
int snapshot_unpacking_flush(struct snapshot_unpacking *unpacking, struct error *error);

/* Ends the unpacking, complete or not. For owned(); NULL is allowed. */
void snapshot_unpacking_clear(struct snapshot_unpacking **unpacking);
