/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "snapshotter/preparation.h"

/*
 * The next step of an unpacking takes over the tree of its parent, which can be made again: a
 * pointer moves. 0; 1 if it is not to be had, and nothing was done; else as Prepare.
 */
int take_over(struct preparation *preparation, const struct cancel *cancel, struct error *error);
