/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * The calls that wait for a time (rpc_call_delay), and one thread that queues their steps. It looks
 * at all of them every 20 ms, which is how exact a delay is and how soon a cancelled call runs; it
 * sleeps while there are none.
 */
struct rpc_call;
struct rpc_delays;

int rpc_delays_new(struct rpc_delays **out_delays, struct error *error);

/* Waits for ms milliseconds, then queues the step that the call holds. */
void rpc_delays_put(struct rpc_delays *delays, struct rpc_call *call, unsigned ms);

/* From now on nothing waits longer than until the next look. */
void rpc_delays_hurry(struct rpc_delays *delays);

/* No call waits any more. Joins the thread. NULL is allowed. */
void rpc_delays_free(struct rpc_delays *delays);
