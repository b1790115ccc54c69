/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"

/* Looks, before anything is written, whether a store can be in the folder root and whether the
 * process has what it needs; warnings are logged. ERROR_PRECONDITION: the store would be wrong. */
int startup_check(const char *root, bool allow_case_insensitive, struct error *error);
