/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cancel.h"

/* Keeps background reading at a pace. */
struct pace {
    uint64_t bytes_per_second; /* 0 = as fast as it goes */
    int64_t started_ms;        /* monotonic */
    uint64_t bytes;            /* since then */
};

struct pace pace_begin(uint64_t bytes_per_second);

/* Notes that bytes were read and sleeps until that much is due, or until cancelled. NULL is
 * allowed. */
void pace_wait(struct pace *pace, uint64_t bytes, const struct cancel *cancel);
