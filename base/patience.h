/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdint.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"

/*
 * How long work may go on: until it is not wanted any more or its time is over. Polled by whoever
 * does it. A NULL patience has no end.
 */
struct patience {
    const struct cancel *cancel; /* NULL = nobody cancels */
    int64_t until_ms;            /* of clock_monotonic_ms; 0 = no end */
};

/* 0, ERROR_CANCELLED, or ERROR_BUSY when the time is over. */
static inline int patience_check(const struct patience *patience)
{
    if (!patience)
        return 0;
    if (cancel_requested(patience->cancel))
        return ERROR_CANCELLED;
    return patience->until_ms && clock_monotonic_ms() > patience->until_ms ? ERROR_BUSY : 0;
}
