/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

int sysctlbyname(const char *name, void *old, size_t *old_size, void *value, size_t size);
