/* SPDX-License-Identifier: Apache-2.0 */
#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* A cut in the middle of a multi-byte character would make the text invalid on the wire. */
static void trim_partial_character(char *text, size_t length)
{
    size_t end = length;
    while (end > 0 && ((unsigned char) text[end - 1] & 0xc0) == 0x80)
        end--;
    if (end == 0)
        return;
    unsigned char lead = (unsigned char) text[end - 1];
    size_t want = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (length - (end - 1) < want)
        text[end - 1] = '\0';
}

static void format_message(struct error *error, const char *format, va_list arguments)
{
    int length = vsnprintf(error->message, sizeof error->message, format, arguments);
    if (length >= (int) sizeof error->message)
        trim_partial_character(error->message, sizeof error->message - 1);
}

static void append_message(struct error *error, const char *separator, const char *text)
{
    size_t length = strlen(error->message);
    size_t room = sizeof error->message - length;
    int added = snprintf(error->message + length, room, "%s%s", separator, text);
    if (added >= (int) room)
        trim_partial_character(error->message, sizeof error->message - 1);
}

int error_set(struct error *error, enum error_code code, const char *format, ...)
{
    if (!error)
        return code;
    error->code = code;
    error->sys = 0;
    va_list arguments;
    va_start(arguments, format);
    format_message(error, format, arguments);
    va_end(arguments);
    return code;
}

bool error_is_no_space(int sys)
{
    return sys == ENOSPC || sys == EDQUOT;
}

int error_errno(struct error *error, const char *format, ...)
{
    int sys = errno;
    enum error_code code = error_is_no_space(sys) ? ERROR_NO_SPACE : ERROR_IO;
    if (!error)
        return code;
    error->code = code;
    error->sys = sys;
    va_list arguments;
    va_start(arguments, format);
    format_message(error, format, arguments);
    va_end(arguments);
    char buffer[128];
    append_message(error, ": ", error_number_text(sys, buffer, sizeof buffer));
    errno = sys;
    return code;
}

int error_wrap(struct error *error, const char *format, ...)
{
    if (!error)
        return ERROR_INTERNAL;
    char inner[sizeof error->message];
    memcpy(inner, error->message, sizeof inner);
    va_list arguments;
    va_start(arguments, format);
    format_message(error, format, arguments);
    va_end(arguments);
    append_message(error, ": ", inner);
    return error->code;
}
