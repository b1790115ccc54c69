/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/regexp_program.h"

/* Makes the program of a pattern in the syntax of Go's regexp package; false if Go would refuse it
 * or the program gets too large. Clear the program in any case. */
bool regexp_syntax_compile(const char *pattern, struct regexp_program *out_program);
