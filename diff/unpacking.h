/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "base/flush_ahead.h"
#include "diff/apply.h"
#include "diff/collision.h"
#include "diff/path_set.h"
#include "diff/place.h"
#include "diff/touched.h"

/* What the parts of one layer_apply share. */
struct unpacking {
    const struct layer_apply_options *options;
    struct places *places;
    struct path_set unpacked; /* what the archive itself made, by entry_path_id */
    struct collisions collisions;
    struct touched touched;
    struct layer_apply_result result;
    struct flush_ahead *flush; /* NULL unless options ask for it */
    uint64_t looked;           /* entries that opaque whiteouts looked at */
};

/* Removes what is called name in place, whatever it is; missing is fine. What tree_remove says. */
int unpacking_remove(struct unpacking *unpacking, struct place *place, const char *name,
                     struct error *error);

/* error_errno for a call that failed on behalf of an entry: ERROR_INVALID if errno says that it
 * asks for what cannot be. */
int unpacking_errno(struct error *error, const char *what);
