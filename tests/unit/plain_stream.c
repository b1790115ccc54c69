/* SPDX-License-Identifier: Apache-2.0 */
/* Stands in for diff/stream.c until that is there: bytes as they are, no threads, no digest. */
#include "base/mem.h"
#include "diff/stream.h"
struct layer_stream {
    struct layer_source *source;
    char buffer[65536];
};
int layer_stream_open(struct layer_source *source, const struct layer_stream_options *options,
                      struct layer_stream **out_stream, struct error *error)
{
    (void) options;
    (void) error;
    *out_stream = mem_alloc(sizeof **out_stream);
    (*out_stream)->source = source;
    return 0;
}
int layer_stream_next(struct layer_stream *stream, const void **out_data, size_t *out_size,
                      struct error *error)
{
    ssize_t got = stream->source->read(stream->source, stream->buffer, 1000, error);
    if (got <= 0)
        return (int) got;
    *out_data = stream->buffer;
    *out_size = (size_t) got;
    return 1;
}
void layer_stream_clear(struct layer_stream **stream)
{
    mem_free(stream);
}
