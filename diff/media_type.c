/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/media_type.h"

#include <stddef.h>
#include <string.h>

#define OCI_LAYER "application/vnd.oci.image.layer.v1.tar"
#define OCI_NONDISTRIBUTABLE "application/vnd.oci.image.layer.nondistributable.v1.tar"
#define DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"
#define DOCKER_FOREIGN "application/vnd.docker.image.rootfs.foreign.diff.tar"

const char layer_type_plain[] = OCI_LAYER;

/* The magic decides, not the suffix; a docker layer may be compressed in spite of its name. */
static const struct {
    const char *media_type;
    enum layer_encoding encoding;
} known_types[] = {
    {OCI_LAYER, LAYER_ENCODING_RAW},
    {OCI_LAYER "+gzip", LAYER_ENCODING_SNIFFED},
    {OCI_LAYER "+zstd", LAYER_ENCODING_SNIFFED},
    {OCI_NONDISTRIBUTABLE, LAYER_ENCODING_RAW},
    {OCI_NONDISTRIBUTABLE "+gzip", LAYER_ENCODING_SNIFFED},
    {OCI_NONDISTRIBUTABLE "+zstd", LAYER_ENCODING_SNIFFED},
    {DOCKER_LAYER, LAYER_ENCODING_SNIFFED},
    {DOCKER_LAYER ".gzip", LAYER_ENCODING_SNIFFED},
    {DOCKER_LAYER ".zstd", LAYER_ENCODING_SNIFFED},
    {DOCKER_FOREIGN, LAYER_ENCODING_SNIFFED},
    {DOCKER_FOREIGN ".gzip", LAYER_ENCODING_SNIFFED},
};

static const struct {
    const char *media_type;
    enum layer_compression compression;
} made_types[] = {
    {OCI_LAYER "+gzip", LAYER_GZIP}, /* the first is the default */
    {OCI_LAYER, LAYER_PLAIN},
    {OCI_LAYER "+zstd", LAYER_ZSTD},
};

enum layer_encoding layer_encoding_of(const char *media_type)
{
    for (size_t i = 0; i < sizeof known_types / sizeof known_types[0]; i++)
        if (strcmp(known_types[i].media_type, media_type) == 0)
            return known_types[i].encoding;
    return LAYER_ENCODING_UNKNOWN;
}

bool layer_type_to_make(const char *media_type, enum layer_compression *out_compression,
                        const char **out_media_type)
{
    for (size_t i = 0; i < sizeof made_types / sizeof made_types[0]; i++)
        if (!media_type[0] || strcmp(made_types[i].media_type, media_type) == 0) {
            *out_compression = made_types[i].compression;
            *out_media_type = made_types[i].media_type;
            return true;
        }
    return false;
}
