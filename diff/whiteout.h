/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "diff/unpacking.h"

/* True for the name of a whiteout: an entry that removes instead of being made. */
bool whiteout_is(const char *name);

/*
 * Does what the whiteout in place says (contract 7.4, rule 4): removes the entry that it names or,
 * if it is an opaque one, everything below place that this archive has not unpacked. An entry of
 * another spelling (diff/collision.h) is not the one that is named. ERROR_INVALID
 * for a name that is none.
 */
int whiteout_apply(struct unpacking *unpacking, struct place *place, const char *name,
                   struct error *error);
