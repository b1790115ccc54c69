/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Small calls come first. Those who wait for one wait for each of its flushes of the volume, too,
 * and for their own right after it, which all take several times as long beside threads that change
 * as much there as they can. So these stand still meanwhile, half of their time at most; and while
 * small calls come again and again they leave the CPU for a moment now and then, since a flush has
 * to wait for threads of the kernel, too, which the scheduler may let wait long.
 *
 * One for the whole process, since the two know nothing of each other. Thread-safe.
 */

/* Around what a small call does. */
void small_calls_begin(void);
void small_calls_end(void);

/* Called often by a thread that has much to do: waits some milliseconds if a small call is under
 * way, or was answered a moment ago. Not for a call that turns out to take long. Besides it rests
 * for some 0.1 ms if that is due. */
void small_calls_give_way(void);
