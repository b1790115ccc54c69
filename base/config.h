/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * Configuration files: the subset of TOML that containerd users write most: [section] and
 * [section.sub] headers, key = value lines, # comments; values are "basic" or 'literal' strings,
 * integers and booleans. Everything else (arrays, dates, inline tables, multi-line strings, quoted
 * and dotted keys) is an error that names file, line and what is accepted. Lines end with LF or
 * CRLF. Strings never hold NUL.
 */
enum config_type { CONFIG_STRING, CONFIG_INTEGER, CONFIG_BOOLEAN };

struct config_value {
    enum config_type type;
    const char *string; /* borrowed for the time of the call */
    int64_t integer;
    bool boolean;
};

/*
 * Called for each key in file order. section is "" at the top. Returns 0, or a code with error set;
 * config_parse prepends "FILE:LINE: ".
 */
typedef int config_handler(void *context, const char *section, const char *key,
                           const struct config_value *value, struct error *error);

/* Parses text (length bytes, at most 1 MiB and 1024 names). A key or a section given twice is
 * ERROR_INVALID. */
int config_parse(const char *file_name, const char *text, size_t length, config_handler *handler,
                 void *context, struct error *error);

/* Reads the file and parses it. ERROR_IO if it cannot be read. */
int config_load(const char *path, config_handler *handler, void *context, struct error *error);
