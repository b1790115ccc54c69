/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "diff/stream.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* So that a run stays short, whatever the input unpacks to. */
#define BYTES_MAX ((uint64_t) 8 << 20)

struct input {
    struct layer_source base; /* first */
    const uint8_t *data;
    size_t size;
    size_t piece;
};

static ssize_t read_input(struct layer_source *base, void *buffer, size_t size, struct error *error)
{
    struct input *input = (struct input *) base;
    (void) error;
    size_t count = size < input->size ? size : input->size;
    if (count > input->piece)
        count = input->piece;
    if (count > 0)
        memcpy(buffer, input->data, count);
    input->data += count;
    input->size -= count;
    return (ssize_t) count;
}

static void close_input(struct layer_source *base)
{
    (void) base;
}

static void expect(int condition)
{
    if (!condition)
        abort();
}

/* The outcome, and what came out of it if it is 0. */
static int run(const uint8_t *data, size_t size, size_t piece, struct layer_stream_result *result)
{
    struct input input = {.base = {.read = read_input, .close = close_input},
                          .data = data,
                          .size = size,
                          .piece = piece};
    const struct layer_stream_options options = {.max_bytes = BYTES_MAX, .max_ratio = 1200};
    struct layer_stream *stream = NULL;
    struct error error = {0};
    if (layer_stream_open(&input.base, &options, &stream, &error) != 0)
        return ERROR_IO; /* no thread */
    int rc = layer_stream_finish(stream, result, &error);
    layer_stream_clear(&stream);
    expect(rc == 0 || (error.code == rc && error.message[0] != '\0'));
    expect(rc == 0 || rc == ERROR_CORRUPT || rc == ERROR_INVALID || rc == ERROR_NO_SPACE);
    expect(rc != 0 || (result->source_bytes == size && result->bytes <= BYTES_MAX));
    return rc;
}

/* The first byte says how the source cuts the others, which are the layer. How it does must not
 * matter. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct layer_stream_result whole;
    struct layer_stream_result cut;
    if (size < 1)
        return 0;
    int rc = run(data + 1, size - 1, size, &whole);
    expect(run(data + 1, size - 1, (size_t) data[0] + 1, &cut) == rc);
    expect(rc != 0 || (whole.bytes == cut.bytes && digest_equal(&whole.digest, &cut.digest)));
    return 0;
}
