/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>

#include "base/error.h"

/* Starts a thread with a name (15 characters count), 512 KiB of stack and the priority of the
 * calling one. Join it. */
int thread_start(pthread_t *out_thread, const char *name, void *(*run)(void *), void *argument,
                 struct error *error);

/* Lowers the calling thread's share of CPU: 0 is normal, 19 the least. Best effort. */
void thread_lower_priority(int nice_value);

/* Has the calling thread use what CPU time and disk others leave. Best effort. */
void thread_run_in_background(void);
