/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/*
 * Tells long work to stop: set once by whoever asked for it, polled between files by whoever does
 * it. A NULL cancel never asks to stop.
 */
struct cancel {
    atomic_bool requested;
};

static inline void cancel_request(struct cancel *cancel)
{
    atomic_store_explicit(&cancel->requested, true, memory_order_relaxed);
}

static inline bool cancel_requested(const struct cancel *cancel)
{
    return cancel && atomic_load_explicit(&cancel->requested, memory_order_relaxed);
}
