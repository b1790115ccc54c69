/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/internal.h"

/*
 * The layer of a snapshot, which an unpacker's differ has written, ours or a client's: what makes
 * its tree one that can be made again (build.h). A snapshot without parent has none: its tree is
 * the layer.
 */
struct captured_layer {
    uint64_t id; /* of the folder; 0 = none */
    struct snapshot_usage usage;
};

/* True if a layer is to be made of what is unpacked into an active snapshot, which nobody else has
 * written before. */
bool snapshot_wants_layer(const struct snapshotter *snapshotter,
                          const struct snapshot_record *record);

/* Flushes the volume of the tree; fault is a fault point. */
int snapshot_flush_layer(int tree_fd, const char *fault, struct error *error);

/* Makes the layer of the snapshot, by what was touched in its tree, which is open as tree_fd.
 * Without one, for lack of space say, the tree is kept as the truth: only ERROR_CANCELLED is an
 * error, and a failed flush of many files that were written. What is made is not flushed. touched
 * becomes the manifest. */
int snapshot_capture(struct snapshotter *snapshotter, const struct snapshot_record *record,
                     int tree_fd, struct path_list *touched, const struct cancel *cancel,
                     struct captured_layer *out_layer, struct error *error);
