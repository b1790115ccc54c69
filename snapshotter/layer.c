/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/layer.h"

#include "base/cleanup.h"
#include "base/fault.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/volume.h"
#include "tree/layer.h"

bool snapshot_wants_layer(const struct snapshotter *snapshotter,
                          const struct snapshot_record *record)
{
    return !snapshotter->options.layers_off && record->fresh && record->parent[0] &&
           snapshot_is_of_unpacker(record->key, &record->labels);
}

int snapshot_flush_layer(int tree_fd, const char *fault, struct error *error)
{
    return fault_point(fault) == 0 && volume_flush(tree_fd) == 0
               ? 0
               : error_errno(error, "cannot flush the layer to disk");
}

/* To clone a file that was just written flushes it, one after the other; so many are flushed
 * faster by one call for all. */
enum { FLUSHED_FIRST = 16 };

static int capture(struct snapshotter *snapshotter, const struct snapshot_record *record,
                   int tree_fd, struct path_list *touched, const struct cancel *cancel,
                   struct captured_layer *layer, struct error *error)
{
    const struct layer_options options = {.threads = snapshotter->options.clone_threads,
                                          .cancel = cancel};
    struct layer_size size = {0};
    char name[ID_NAME_SIZE];
    id_name(layer->id, name);
    owned(fd_close) int dirfd = fd_make_dir(snapshotter->root->layers_fd, name, 0700, error);
    if (dirfd < 0)
        return dirfd;
    int rc = layer_capture(tree_fd, dirfd, touched, &record->cloned, &options, &size, error);
    layer->usage = (struct snapshot_usage){.bytes = size.bytes, .inodes = size.inodes};
    return rc;
}

int snapshot_capture(struct snapshotter *snapshotter, const struct snapshot_record *record,
                     int tree_fd, struct path_list *touched, const struct cancel *cancel,
                     struct captured_layer *out_layer, struct error *error)
{
    struct captured_layer layer = {0};
    struct error own = {0};
    *out_layer = layer;
    int rc = touched->count >= FLUSHED_FIRST
                 ? snapshot_flush_layer(tree_fd, "layer.flush.first", error)
                 : 0;
    if (rc != 0)
        return rc;
    rc = store_new_id(snapshotter->store, &layer.id, &own);
    if (rc == 0)
        rc = capture(snapshotter, record, tree_fd, touched, cancel, &layer, &own);
    (void) fault_point("layer.captured");
    if (rc == 0) {
        *out_layer = layer;
        return 0;
    }
    if (layer.id)
        snapshotter_trash_layer(snapshotter, layer.id);
    if (rc < 0 && rc != ERROR_CANCELLED)
        log_info("snapshot %s is kept without a layer: %s", record->key, own.message);
    if (rc == ERROR_CANCELLED && error)
        *error = own;
    return rc == ERROR_CANCELLED ? rc : 0;
}
