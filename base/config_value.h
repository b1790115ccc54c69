/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/config.h"
#include "base/error.h"

/*
 * Inside of config.c: reads the value at *next, in a line that ends with NUL, and moves *next
 * behind it. Strings are decoded in place, so *out_value lives as long as the line.
 */
int config_value_parse(char **next, struct config_value *out_value, struct error *error);
