/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cancel.h"
#include "base/digest.h"
#include "base/error.h"
#include "content/content.h"
#include "diff/source.h"

/*
 * A blob of our content store as the source of a layer. It stays readable if it is deleted
 * meanwhile. Error codes as blob_reader_open; cancel, which may be NULL, is for the opening alone:
 * reads do not wait for others. Close the source before the content.
 */
int blob_source_open(struct content *content, const struct digest *digest,
                     const struct cancel *cancel, struct layer_source **out_source,
                     struct error *error);
