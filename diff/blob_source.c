/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/blob_source.h"

#include <stdlib.h>

#include "base/mem.h"

struct blob_source {
    struct layer_source base; /* first */
    struct blob_reader reader;
    uint64_t offset;
};

static ssize_t read_blob(struct layer_source *source, void *buffer, size_t size,
                         struct error *error)
{
    struct blob_source *blob = (struct blob_source *) source;
    uint64_t left = blob->reader.size - blob->offset;
    size_t count = left < size ? (size_t) left : size;
    int rc = blob_reader_read(&blob->reader, buffer, count, blob->offset, error);
    if (rc != 0)
        return rc;
    blob->offset += count;
    return (ssize_t) count;
}

static void close_blob(struct layer_source *source)
{
    struct blob_source *blob = (struct blob_source *) source;
    blob_reader_close(&blob->reader);
    free(blob);
}

int blob_source_open(struct content *content, const struct digest *digest,
                     const struct cancel *cancel, struct layer_source **out_source,
                     struct error *error)
{
    struct blob_source *blob = mem_alloc(sizeof *blob);
    *blob = (struct blob_source){.base = {.read = read_blob, .close = close_blob},
                                 .reader = BLOB_READER_NULL};
    int rc = blob_reader_open(content, digest, cancel, &blob->reader, error);
    if (rc != 0) {
        free(blob);
        return rc;
    }
    *out_source = &blob->base;
    return 0;
}
