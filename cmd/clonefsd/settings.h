/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "cmd/clonefsd/options.h"

/* The configuration file's keys, and what they may be. */

/* Reads the file into the options. ERROR_INVALID says where and what to do; ERROR_IO. */
int settings_load(const char *path, struct options *options, struct error *error);

/* Sets what a flag may say, too. */
void setting_text(char **out, const char *value); /* replaces *out */
int setting_log_level(struct options *options, const char *value, struct error *error);
