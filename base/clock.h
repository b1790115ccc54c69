/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* A point in time: UTC seconds since 1970 (may be negative) and nanoseconds 0..999999999. */
struct timestamp {
    int64_t seconds;
    int32_t nanos;
};

struct timestamp clock_now(void);

/* Milliseconds that never step; for intervals only. */
int64_t clock_monotonic_ms(void);

/* Now + ms as pthread_cond_timedwait takes it. */
struct timespec clock_deadline(int ms);

bool timestamp_after(struct timestamp a, struct timestamp b);

/* A number that changes whenever the clock of clock_now is set, and with each process: between two
 * equal ones that clock has only gone forward. 0 where the system does not tell. */
uint64_t clock_epoch(void);

/* Identifies this boot of the machine: data of an earlier boot that was not flushed may be lost.
 * Fills out with at most 63 characters; false where the system does not tell. */
bool clock_boot_id(char out[64]);
