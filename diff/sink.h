/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "base/error.h"

/*
 * Where the bytes of a layer go, one after the other: to containerd, or, in tests, to memory.
 * Called by one thread at a time, not always the same.
 */
struct layer_sink {
    /* Takes all of data; it is the caller's again afterwards. 0, or an error code. */
    int (*write)(struct layer_sink *sink, const void *data, size_t size, struct error *error);
};
