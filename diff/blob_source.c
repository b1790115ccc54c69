/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/blob_source.h"

#include <stdlib.h>

#include "base/mem.h"

/* So much is being read from disk while what is before it is inflated. It is asked for in halves.
 */
#define AHEAD_BYTES ((uint64_t) 4 << 20)

struct blob_source {
    struct layer_source base; /* first */
    struct blob_reader reader;
    uint64_t offset;
    uint64_t ahead; /* asked for up to here */
};

static uint64_t smaller(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void read_ahead(struct blob_source *source)
{
    uint64_t size = source->reader.size;
    if (source->ahead >= smaller(source->offset + AHEAD_BYTES / 2, size))
        return;
    uint64_t end = smaller(source->offset + AHEAD_BYTES, size);
    blob_reader_prefetch(&source->reader, end - source->ahead, source->ahead);
    source->ahead = end;
}

static ssize_t read_blob(struct layer_source *base, void *buffer, size_t size, struct error *error)
{
    struct blob_source *source = (struct blob_source *) base;
    size_t count = (size_t) smaller(size, source->reader.size - source->offset);
    read_ahead(source);
    int rc = blob_reader_read(&source->reader, buffer, count, source->offset, error);
    if (rc != 0)
        return rc;
    source->offset += count;
    return (ssize_t) count;
}

static void close_blob(struct layer_source *base)
{
    struct blob_source *source = (struct blob_source *) base;
    blob_reader_close(&source->reader);
    free(source);
}

int blob_source_open(struct content *content, const struct digest *digest,
                     const struct cancel *cancel, struct layer_source **out_source,
                     struct error *error)
{
    struct blob_reader reader = BLOB_READER_NULL;
    int rc = blob_reader_open(content, digest, cancel, &reader, error);
    if (rc != 0)
        return rc;
    struct blob_source *source = mem_alloc(sizeof *source);
    source->base = (struct layer_source){.read = read_blob, .close = close_blob};
    source->reader = reader;
    *out_source = &source->base;
    return 0;
}
