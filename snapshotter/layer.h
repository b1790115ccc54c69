/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/internal.h"

/*
 * The layer of a snapshot into which one was just unpacked: what makes its tree one that can be
 * made again (build.h). A snapshot without parent has none: its tree is the layer.
 */
struct captured_layer {
    uint64_t id; /* of the folder; 0 = none */
    struct snapshot_usage usage;
};

/* To clone a file that was just written flushes it, one after the other. So many paths are flushed
 * faster by one call for all, before they are captured. */
enum { CAPTURE_FLUSHED_FIRST = 16 };

/* True if a layer is to be made of what is unpacked into an active snapshot, which nobody else has
 * written before. */
bool snapshot_wants_layer(const struct snapshotter *snapshotter,
                          const struct snapshot_record *record);

/* Makes the layer of the snapshot, by what was touched in its tree, which is open as tree_fd.
 * Without one, for lack of space say, the tree is kept as the truth: only ERROR_CANCELLED is an
 * error. Nothing is flushed. touched becomes the manifest. */
int snapshot_capture(struct snapshotter *snapshotter, const struct snapshot_record *record,
                     int tree_fd, struct path_list *touched, const struct cancel *cancel,
                     struct captured_layer *out_layer, struct error *error);
