/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/platform.h"

bool platform_is_darwin(void)
{
    return false;
}

void platform_needs_linux(const char *reason)
{
    (void) reason;
}
