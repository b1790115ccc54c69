/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

/*
 * Tells long work to stop: set once by whoever asked for it, polled between files by whoever does
 * it. A NULL cancel never asks to stop.
 */
struct cancel {
    atomic_bool requested;
    const struct cancel *outer; /* set once: work within other work stops with that; may be NULL */
};

static inline void cancel_request(struct cancel *cancel)
{
    atomic_store_explicit(&cancel->requested, true, memory_order_relaxed);
}

static inline bool cancel_requested(const struct cancel *cancel)
{
    while (cancel && !atomic_load_explicit(&cancel->requested, memory_order_relaxed))
        cancel = cancel->outer;
    return cancel != NULL;
}
