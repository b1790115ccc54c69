/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* platform_linux.c, or platform_darwin.c where the sources for macOS are tested (tests/darwin). */
bool platform_is_darwin(void);

/* Skips the test on macOS and prints why. */
void platform_needs_linux(const char *reason);
