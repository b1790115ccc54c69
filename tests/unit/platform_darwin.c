/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/platform.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

bool platform_is_darwin(void)
{
    return true;
}

void platform_needs_linux(const char *reason)
{
    printf("skip: %s\n", reason);
    skip();
}
