/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "diff/encode.h"

/* Media types of layers (contract 7.1, 7.3). */
enum layer_encoding {
    LAYER_ENCODING_UNKNOWN, /* somebody else may be able to decode it */
    LAYER_ENCODING_RAW,     /* a tar archive as it is */
    LAYER_ENCODING_SNIFFED  /* its first bytes tell how it is compressed, if at all */
};

/* How a layer of that type is to be read. */
enum layer_encoding layer_encoding_of(const char *media_type);

/* The layer that is asked for by that type ("": containerd's default): the compression and the full
 * type, or false if that is not one that we make. */
bool layer_type_to_make(const char *media_type, enum layer_compression *out_compression,
                        const char **out_media_type);

/* What an applied layer is called: its archive, uncompressed. */
extern const char layer_type_plain[];
