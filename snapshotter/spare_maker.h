/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "snapshotter/snapshotter.h"

/*
 * Makes spares for the pool in the background, one after the other, at the lowest priority for CPU
 * and disk, with one thread unless all is quiet, and removes those that are too many. A spare is
 * ready when it is on disk and recorded.
 * None is made while less than a tenth of the volume or of its inodes is free, and all go when less
 * than a twentieth is.
 */
struct spare_maker;

int spare_maker_open(struct snapshotter *snapshotter, struct spare_maker **out_maker,
                     struct error *error);

/* What is wanted may have changed. NULL is allowed. */
void spare_maker_wake(struct spare_maker *maker);

/* Room is needed: removes all spares, in the background. NULL is allowed. */
void spare_maker_give_way(struct spare_maker *maker);

/* Stops; false if that took longer than timeout_ms: the thread is still there then and uses the
 * store. NULL is allowed. */
bool spare_maker_close(struct spare_maker *maker, int timeout_ms);
