/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "diff/sink.h"

/*
 * The difference of two trees as a tar archive: what turns left into right (contract 7.5), entries
 * and bytes in an order and form that depend on the trees alone, the same bytes as containerd's own
 * differ writes. Applying it to left gives right, up to what that does not carry either: sub-second
 * times, atimes, sockets, the root's own attributes, the time of a directory that changed in
 * nothing else. Whiteouts have the time 1970-01-01, as those of containerd 2.x.
 *
 * Different from containerd's on purpose: more xattrs than file capabilities are carried
 * (diff/xattr_filter.h), and a change of one alone is a change; one that a directory lost stays,
 * since an archive cannot say that. A name that moved between files with equal attributes is a
 * change, if either has several names. A file that became a socket is a whiteout, so that what left
 * has there goes. Names that begin with ".wh." are left out, and logged once: they would be taken
 * for whiteouts.
 */
struct layer_difference_options {
    int left_fd; /* root of the left tree, or -1: the empty tree */
    int right_fd;
    /* right was cloned from left, and the clone was complete at that time of the volume's clock,
     * which was not set back since: what has an earlier change time is as it was cloned. NULL: not
     * known. */
    const struct timestamp *cloned;
    bool reads_all; /* the volume cannot be trusted to know that two files share their data */
    bool has_epoch;
    int64_t epoch_seconds;       /* source_date_epoch: no time in the archive is later */
    const struct cancel *cancel; /* polled between files and blocks; may be NULL */
};

struct layer_difference_result {
    uint64_t entries;      /* of the archive, whiteouts included */
    uint64_t files_read;   /* whose bytes were read, to compare or to archive them; once each */
    uint64_t files_looked; /* of the right tree */
};

/*
 * Writes the archive to the sink, two blocks of zeros at the end included. Neither tree may change
 * meanwhile; what is seen to change is ERROR_PRECONDITION. ERROR_CANCELLED, ERROR_IO, or what the
 * sink says.
 */
int layer_difference(const struct layer_difference_options *options, struct layer_sink *sink,
                     struct layer_difference_result *out_result, struct error *error);
