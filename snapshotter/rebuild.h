/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/internal.h"

/* Gives a committed snapshot that has none a tree again, made of its layer and what is below; 0
 * also if it has one. Errors as for Prepare. */
int snapshot_rebuild(struct snapshotter *snapshotter, const char *name, const char *key,
                     const struct cancel *cancel, struct error *error);
