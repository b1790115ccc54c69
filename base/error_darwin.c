/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/error.h"

/* POSIX's strerror_r, which says "Unknown error: N" even when it fails. */
const char *error_number_text(int sys, char *buffer, size_t size)
{
    (void) strerror_r(sys, buffer, size);
    return buffer;
}
