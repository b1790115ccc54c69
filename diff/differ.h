/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/error.h"
#include "base/labels.h"
#include "content/content.h"
#include "diff/apply.h"
#include "snapshotter/snapshotter.h"

/*
 * The rules of Apply and Diff (containerd-contract: 7): from mounts and descriptors to trees and
 * archives, and back. Thread-safe. Both calls take as long as the layer is big, and may call
 * containerd, which may call our other services: nothing is locked meanwhile.
 */
struct differ;

/* A containerd that we serve, and whom we call back. */
struct differ_containerd {
    char *snapshotter;    /* the snapshotter name that it calls us by; NULL: all others */
    char *address;        /* its socket; NULL: as that of all others */
    char *namespace_name; /* for calls of which we are not told it; NULL likewise */
};

struct differ_options {
    bool durable;       /* what was applied is flushed before the answer */
    bool diff_declined; /* Diff is left to containerd's own differ */
    struct layer_limits limits;
    enum layer_appledouble appledouble;
    bool file_flags;
    bool reads_all; /* see diff/difference.h */
    struct collision_rules names;
    const struct differ_containerd *containerds; /* copied; may be none */
    size_t containerd_count;
    const char *containerd_address; /* where these name none; copied */
};

/* content and snapshotter stay the caller's and outlive the differ. */
int differ_open(struct content *content, struct snapshotter *snapshotter,
                const struct differ_options *options, struct differ **out_differ,
                struct error *error);
void differ_close(struct differ *differ); /* no call is under way; NULL is allowed */

struct differ_mount {
    const char *type;
    const char *source;
    char *const *options;
    size_t option_count;
};

/* Where a call comes from. */
struct differ_caller {
    const char *namespace_name; /* NULL = not told */
    const char *lease;          /* NULL = none */
    const struct cancel *cancel;
};

struct differ_layer {
    const char *media_type; /* static where it is an answer */
    struct digest digest;
    uint64_t size; /* bytes */
};

struct differ_apply_request {
    struct differ_caller caller;
    const char *media_type;
    const struct digest *digest;
    const struct differ_mount *mounts;
    size_t mount_count;
    bool sync;
};

/*
 * Apply: unpacks the blob into the one mount, which is a writable bind of an active snapshot of
 * ours. Answers the archive: plain type, digest and size of all uncompressed bytes.
 * ERROR_UNIMPLEMENTED for other mounts and types of layers, which another differ may know, but
 * ERROR_PRECONDITION for a tree of ours that is no active snapshot;
 * ERROR_NOT_FOUND for a blob that neither we have nor containerd; ERROR_CORRUPT and ERROR_INVALID
 * for one that is damaged or against the rules; ERROR_BUSY when containerd cannot be reached. After
 * a failure the snapshot is still there, with what was written by then, and can be removed.
 */
int differ_apply(struct differ *differ, const struct differ_apply_request *request,
                 struct differ_layer *out_layer, struct error *error);

struct differ_diff_request {
    struct differ_caller caller;
    const struct differ_mount *left; /* none: the empty tree */
    size_t left_count;
    const struct differ_mount *right;
    size_t right_count;
    const char *media_type;
    const char *ref;
    const struct labels *labels;
    bool has_epoch;
    int64_t epoch_seconds;
};

/*
 * Diff: makes the layer that turns left into right, and puts it into containerd's content store, in
 * the caller's namespace, with the labels and containerd.io/uncompressed, kept by the caller's
 * lease or by one of an hour. ERROR_UNIMPLEMENTED for mounts that are no trees of ours and other
 * types of layers; ERROR_BUSY when containerd cannot be reached.
 */
int differ_diff(struct differ *differ, const struct differ_diff_request *request,
                struct differ_layer *out_layer, struct error *error);
