/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *const level_names[] = {"error", "warn", "info", "debug"};
static atomic_int current_level = LOG_LEVEL_INFO;

bool log_level_parse(const char *text, enum log_level *out_level)
{
    for (size_t i = 0; i < sizeof level_names / sizeof level_names[0]; i++) {
        if (strcmp(text, level_names[i]) == 0) {
            *out_level = (enum log_level) i;
            return true;
        }
    }
    return false;
}

void log_set_level(enum log_level level)
{
    atomic_store(&current_level, (int) level);
}

bool log_enabled(enum log_level level)
{
    return (int) level <= atomic_load_explicit(&current_level, memory_order_relaxed);
}

static size_t write_prefix(char *line, size_t size, enum log_level level)
{
    struct timespec now;
    struct tm utc;
    (void) clock_gettime(CLOCK_REALTIME, &now);
    (void) gmtime_r(&now.tv_sec, &utc);
    size_t length = strftime(line, size, "%Y-%m-%dT%H:%M:%S", &utc);
    int added = snprintf(line + length, size - length, ".%03ldZ %-5s ", now.tv_nsec / 1000000,
                         level_names[level]);
    return length + (size_t) added;
}

/* Keys and paths come from clients: a newline in one must not forge a line of the log. */
static size_t append_escaped(char *line, size_t length, size_t size, const char *text)
{
    for (; *text && length + 5 < size; text++) {
        unsigned char c = (unsigned char) *text;
        if (c < 0x20 || c == 0x7f)
            length += (size_t) snprintf(line + length, size - length, "\\x%02x", c);
        else
            line[length++] = (char) c;
    }
    return length;
}

void log_write(enum log_level level, const char *format, ...)
{
    if (!log_enabled(level))
        return;
    int saved = errno;
    char text[4096];
    va_list arguments;
    va_start(arguments, format);
    (void) vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    char line[4224];
    size_t length = write_prefix(line, sizeof line, level);
    length = append_escaped(line, length, sizeof line - 1, text);
    line[length++] = '\n';
    ssize_t ignored = write(STDERR_FILENO, line, length); /* nowhere to report that to */
    (void) ignored;
    errno = saved;
}

bool log_count(atomic_ulong *counter)
{
    return atomic_fetch_add(counter, 1) == 0;
}
