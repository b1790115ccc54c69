/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "tests/darwin/calls.h"

/* include/darwin.h */
size_t strlcpy(char *to, const char *from, size_t size);
size_t strlcat(char *to, const char *from, size_t size);

size_t strlcpy(char *to, const char *from, size_t size)
{
    size_t length = strlen(from);
    if (size > 0) {
        size_t copied = length < size ? length : size - 1;
        memcpy(to, from, copied);
        to[copied] = '\0';
    }
    return length;
}

size_t strlcat(char *to, const char *from, size_t size)
{
    size_t used = strnlen(to, size);
    return used + strlcpy(to + used, from, size - used);
}

/* POSIX's, which writes into the buffer. */
int darwin_strerror_r(int number, char *buffer, size_t size)
{
    const char *text = number == DARWIN_ENOTSUP   ? "Operation not supported"
                       : number == DARWIN_ENOATTR ? "Attribute not found"
                                                  : strerror_r(number, buffer, size);
    if (text != buffer)
        (void) strlcpy(buffer, text, size);
    return 0;
}
