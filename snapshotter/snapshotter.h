/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "base/filter.h"
#include "base/labels.h"
#include "store/root.h"
#include "store/snapshots.h"
#include "tree/trash.h"

/*
 * The rules of snapshots (containerd-contract: core/snapshots). Every call is thread-safe, blocks
 * on the disk and on nothing else, and is complete when it returns: what was acknowledged survives
 * a kill. Snapshots of different snapshotter names do not see each other.
 */
struct snapshotter;

enum snapshot_view_mode {
    SNAPSHOT_VIEW_READONLY_BIND, /* a view shows its parent's tree, read-only */
    SNAPSHOT_VIEW_PRIVATE_CLONE  /* a view is a writable clone of its own */
};

struct snapshotter_options {
    enum snapshot_view_mode view;
    unsigned clone_threads;    /* for one big clone; 0 = default */
    unsigned usage_refresh_ms; /* an active snapshot is measured at most so often; 0 = default */
    unsigned flush_delay_ms;   /* from a change to its flush; 0 = default */
    /* As tree_probe found out. */
    bool clones_share_data;  /* else the size of a tree matters */
    bool clones_directories; /* by one call */
    bool tells_private_sizes;
    bool pool_off;   /* no clones are made ahead */
    bool layers_off; /* every snapshot has a tree of its own */
};

/*
 * Opens the service on a store and its root: moves what a crash left to trash, marks what an
 * unclean boot may have damaged, starts the background work. store, root and trash stay the
 * caller's and outlive it.
 */
int snapshotter_open(struct store *store, const struct store_root *root, struct trash *trash,
                     const struct snapshotter_options *options,
                     struct snapshotter **out_snapshotter, struct error *error);

/*
 * Stops the background work; deletions go on at the next start. Tries to flush what is not yet
 * flushed, for at most timeout_ms; false if that was not enough: then the process must exit without
 * closing the store. NULL is allowed.
 */
bool snapshotter_close(struct snapshotter *snapshotter, int timeout_ms);

/* A snapshot's mount: one bind of the directory source (absolute). */
struct snapshot_mount {
    char *source;
    bool read_only;
};

#define SNAPSHOT_MOUNT_NULL ((struct snapshot_mount){0})

void snapshot_mount_clear(struct snapshot_mount *mount); /* repeatable */

struct snapshot_request {
    const char *snapshotter;
    const char *key;
    const char *parent; /* "" = none */
    const struct labels *labels;
};

/* True if Prepare of this parent is short work: no parent, or a tree of a few hundred files, and of
 * a few megabytes where clones are copies. The same for View. */
bool snapshot_prepare_is_small(struct snapshotter *snapshotter, const char *name,
                               const char *parent);
bool snapshot_view_is_small(struct snapshotter *snapshotter, const char *name, const char *parent);

/*
 * Prepare: a writable clone of the parent's tree, or an empty directory. ERROR_NOT_FOUND: no such
 * parent; ERROR_INVALID: the parent is not committed; ERROR_EXISTS: the key is taken;
 * ERROR_PRECONDITION: the parent is damaged, or the key is taken and the request has the label
 * containerd.io/snapshot.ref, which gives AlreadyExists another meaning. On failure nothing is left
 * under the key.
 */
int snapshot_prepare(struct snapshotter *snapshotter, const struct snapshot_request *request,
                     const struct cancel *cancel, struct snapshot_mount *out_mount,
                     struct error *error);

/* The same by a tree that is there already, short work: a clone that was made ahead, or, for an
 * unpacker's next step, that of its parent. 1 if there is none, or none is needed; then nothing was
 * done. */
int snapshot_prepare_at_once(struct snapshotter *snapshotter,
                             const struct snapshot_request *request, const struct cancel *cancel,
                             struct snapshot_mount *out_mount, struct error *error);
int snapshot_view_at_once(struct snapshotter *snapshotter, const struct snapshot_request *request,
                          const struct cancel *cancel, struct snapshot_mount *out_mount,
                          struct error *error);

/* View: as the mode says; errors as for Prepare. */
int snapshot_view(struct snapshotter *snapshotter, const struct snapshot_request *request,
                  const struct cancel *cancel, struct snapshot_mount *out_mount,
                  struct error *error);

/* ERROR_NOT_FOUND; ERROR_PRECONDITION for a committed or damaged snapshot. If a view's parent has
 * lost the tree that it shows (a power cut soon after the tree was made again, a flush that
 * failed), it gets one again; errors then as for View. */
int snapshot_mounts(struct snapshotter *snapshotter, const char *name, const char *key,
                    const struct cancel *cancel, struct snapshot_mount *out_mount,
                    struct error *error);

/* The same, but 1 where a tree would have to be made first. */
int snapshot_mounts_at_once(struct snapshotter *snapshotter, const char *name, const char *key,
                            struct snapshot_mount *out_mount, struct error *error);

/*
 * Commit: the active snapshot active_key becomes the committed snapshot request->key with the
 * request's labels. Only the record changes. ERROR_EXISTS, ERROR_NOT_FOUND, ERROR_PRECONDITION as
 * contract 3.4 says, but ERROR_PRECONDITION for a taken name of containerd's numbered form, which
 * means that its root was wiped; ERROR_BUSY while a Prepare has the name reserved. request->parent
 * is "" or the active's parent, else ERROR_INVALID; ERROR_UNIMPLEMENTED for a rebase.
 * ERROR_PRECONDITION while a layer is being unpacked into it.
 */
int snapshot_commit(struct snapshotter *snapshotter, const struct snapshot_request *request,
                    const char *active_key, struct error *error);

/* Remove: ERROR_NOT_FOUND; ERROR_PRECONDITION ("cannot remove ...") while it has children or is
 * being cloned or compared. Stops the unpacking of a layer into it. The key is free when this
 * returns; the data goes in the background. */
int snapshot_remove(struct snapshotter *snapshotter, const char *name, const char *key,
                    struct error *error);

/* Stat: the caller clears the record. */
int snapshot_stat(struct snapshotter *snapshotter, const char *name, const char *key,
                  struct snapshot_record *out_record, struct error *error);

/* Update: labels by mask (labels_update); answers the new record. */
int snapshot_update(struct snapshotter *snapshotter, const struct snapshot_request *request,
                    char *const *mask, size_t mask_count, struct snapshot_record *out_record,
                    struct error *error);

/*
 * Looks at one record, the next after the position (enum filter_answer). The caller clears the
 * record if the filters match it. The position moves on but for FILTER_AGAIN. txn is an open read
 * transaction.
 */
int snapshot_list_next(struct store_txn *txn, const char *name, const struct filter_list *filters,
                       const struct patience *patience, struct store_position *position,
                       struct snapshot_record *out_record, struct error *error);

/* Begins reading for snapshot_list_next. */
int snapshot_list_begin(struct snapshotter *snapshotter, struct store_txn *out_txn,
                        struct error *error);

/*
 * Usage: what the snapshot adds to its parent, in bytes on disk and in inodes: everything changed
 * or added since it was cloned (tree_measure with since), which counts a changed file whole
 * although part of it may still be shared; the whole tree for a snapshot without parent; nothing
 * for a view. The figure of a committed snapshot is computed once, soon after the commit, and
 * stored; that of an active one is cached and refreshed at a bounded rate.
 *
 * snapshot_usage_known answers 1 and the usage if it costs nothing, else 0; snapshot_usage_measure
 * walks the tree.
 */
struct snapshot_usage {
    uint64_t bytes;
    uint64_t inodes;
};
int snapshot_usage_known(struct snapshotter *snapshotter, const char *name, const char *key,
                         struct snapshot_usage *out_usage, struct error *error);
int snapshot_usage_measure(struct snapshotter *snapshotter, const char *name, const char *key,
                           const struct cancel *cancel, struct snapshot_usage *out_usage,
                           struct error *error);

/* Cleanup: wakes the worker that deletes what was removed; does not wait for it. */
void snapshotter_cleanup(struct snapshotter *snapshotter);

/*
 * Removes every snapshot of one snapshotter name, data included, and answers how many there were;
 * ERROR_NOT_FOUND, which tells the names that there are, if there was none. For a store that no
 * snapshotter is open on. The remedy when containerd's root was wiped and its keys start again.
 */
int snapshotter_forget(struct store *store, const struct store_root *root, const char *name,
                       uint64_t *out_count, struct error *error);
