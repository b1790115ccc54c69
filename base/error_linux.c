/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/error.h"

/* GNU's strerror_r. */
const char *error_number_text(int sys, char *buffer, size_t size)
{
    return strerror_r(sys, buffer, size);
}
