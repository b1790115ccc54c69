/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "diff/source.h"

/* A source over bytes in memory, which stay the caller's. */
struct layer_source *memory_source_new(const void *data, size_t size);
