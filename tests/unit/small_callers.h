/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* A thread that makes small calls, one after the other, so that on a machine however slow there is
 * one that others have to give way to. */
struct small_callers {
    pthread_t thread;
    atomic_bool stop;
};

void small_callers_start(struct small_callers *callers);
void small_callers_stop(struct small_callers *callers);
