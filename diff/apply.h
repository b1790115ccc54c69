/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/error.h"
#include "diff/collision.h"
#include "diff/limits.h"
#include "diff/stream.h"
#include "tree/path_list.h"

/*
 * Unpacks a layer's archive into a directory by the rules of containerd's own applier (contract
 * 7.4): names are confined to the root, parents are resolved inside it, links in it are followed
 * for parents only, whiteouts remove, and nothing outside the root is ever read or changed,
 * whatever the archive says and whoever else writes into the root meanwhile.
 */
enum layer_appledouble {
    LAYER_APPLEDOUBLE_FILE, /* "._name" members are files like others */
    LAYER_APPLEDOUBLE_APPLY /* they become the xattrs, resource fork and ACL that they describe */
};

struct layer_apply_options {
    struct layer_limits limits;
    enum layer_appledouble appledouble;
    bool file_flags;              /* restore what SCHILY.fflags says */
    bool flush_ahead;             /* what is written will be flushed: begin with it meanwhile */
    struct collision_rules names; /* zero: names are plain bytes */
    struct path_list *touched;   /* gets the paths of what is changed (tree/layer.h); may be NULL */
    const struct cancel *cancel; /* polled between files and blocks; may be NULL */
};

struct layer_apply_result {
    uint64_t entries;  /* of the archive */
    uint64_t bytes;    /* of file data written */
    uint64_t removed;  /* by whiteouts, or replaced */
    bool touched_lost; /* they are too many */
};

/*
 * Takes all entries of the archive from the stream, and what follows it is left to
 * layer_stream_finish. root_fd is the directory; its own attributes stay. ERROR_INVALID for what is
 * no valid archive or goes against the rules, naming the entry; ERROR_NO_SPACE for a volume that is
 * full and for a limit; ERROR_PRECONDITION and ERROR_BUSY if something is mounted in the way, and
 * the former for two names that are one here (diff/collision.h); ERROR_CANCELLED, ERROR_IO, and
 * what the stream says. What was written by then stays, for the caller to throw away.
 */
int layer_apply(int root_fd, struct layer_stream *stream, const struct layer_apply_options *options,
                struct layer_apply_result *out_result, struct error *error);
