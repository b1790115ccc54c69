/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/digest.h"
#include "content/content.h"
#include "diff/source.h"

/* Opens a blob of our own content store for reading from its start: ERROR_NOT_FOUND, ERROR_CORRUPT,
 * ERROR_CANCELLED, as blob_reader_open says. */
int blob_source_open(struct content *content, const struct digest *digest,
                     const struct cancel *cancel, struct layer_source **out_source,
                     struct error *error);
