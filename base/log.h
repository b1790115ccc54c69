/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

/*
 * The log: one line a message on standard error, "time level text", cut at 4 KiB, control
 * characters written as \xNN. Thread-safe. cmd/ and the service.c files log failures, once; lower
 * layers log at debug level, and warn only where nobody above can know.
 */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Reads "error", "warn", "info" or "debug"; false for anything else. */
bool log_level_parse(const char *text, enum log_level *out_level);

void log_set_level(enum log_level level);
bool log_enabled(enum log_level level);

void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                                                                             \
    (log_enabled(LOG_LEVEL_DEBUG) ? log_write(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void) 0)

/* A fallback that is logged once and counted (invariant 10): true for the first time only. */
bool log_count(atomic_ulong *counter);
