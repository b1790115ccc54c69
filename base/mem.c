/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *check(void *memory)
{
    if (!memory) {
        static const char text[] = "clonefsd: out of memory\n";
        fputs(text, stderr);
        abort();
    }
    return memory;
}

void *mem_alloc(size_t size)
{
    return check(calloc(1, size ? size : 1));
}

void *mem_alloc_array(size_t count, size_t size)
{
    return check(calloc(count ? count : 1, size ? size : 1));
}

void *mem_resize(void *memory, size_t count, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(count, size, &bytes))
        return check(NULL);
    return check(realloc(memory, bytes ? bytes : 1));
}

const char *mem_last(const void *memory, int byte, size_t size)
{
    const char *bytes = memory;
    while (size > 0)
        if (bytes[--size] == (char) byte)
            return bytes + size;
    return NULL;
}

char *mem_strdup(const char *text)
{
    return check(strdup(text));
}

char *mem_strndup(const char *text, size_t length)
{
    return check(strndup(text, length));
}

char *mem_printf(const char *format, ...)
{
    char *text = NULL;
    va_list arguments;
    va_start(arguments, format);
    int length = vasprintf(&text, format, arguments);
    va_end(arguments);
    return check(length < 0 ? NULL : text);
}

void mem_free(void *pointer_address)
{
    int saved = errno;
    void **slot = pointer_address;
    free(*slot);
    *slot = NULL;
    errno = saved;
}

char *mem_take(char **pointer_address)
{
    char *text = *pointer_address;
    *pointer_address = NULL;
    return text;
}
