/* SPDX-License-Identifier: Apache-2.0 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff/decode.h"
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

static void check_error(int rc, const struct error *error)
{
    expect(rc == 0 || (error->code == rc && error->message[0] != '\0'));
    expect(rc == 0 || rc == ERROR_CORRUPT || rc == ERROR_INVALID || rc == ERROR_NO_SPACE);
}

static struct input make_input(const uint8_t *data, size_t size, size_t piece)
{
    return (struct input){.base = {.read = read_input, .close = close_input},
                          .data = data,
                          .size = size,
                          .piece = piece};
}

static int drain(struct layer_decoder *decoder, uint8_t *out, size_t out_size,
                 struct layer_stream_result *result, struct error *error)
{
    owned(digester_clear) struct digester *digester = digester_new(DIGEST_SHA256);
    for (;;) {
        ssize_t got = decoder->read(decoder, out, out_size, error);
        if (got < 0)
            return (int) got;
        result->bytes += (uint64_t) got;
        if (result->bytes > BYTES_MAX)
            return error_set(error, ERROR_NO_SPACE, "enough");
        digester_add(digester, out, (size_t) got);
        if ((size_t) got < out_size)
            break;
    }
    expect(decoder->read(decoder, out, out_size, error) == 0);
    digester_read(digester, &result->digest);
    return 0;
}

/* Without threads: the outcome, and what came out of it if it is 0. */
static int decode(const uint8_t *data, size_t size, size_t piece, size_t out_size,
                  struct layer_stream_result *result)
{
    struct input input = make_input(data, size, piece);
    struct layer_decoder *decoder = NULL;
    struct feed feed;
    struct error error = {0};
    owned(mem_free) uint8_t *out = mem_alloc(out_size);
    *result = (struct layer_stream_result){0};
    feed_init(&feed, &input.base, NULL, NULL);
    int rc = layer_decoder_open(&feed, false, &decoder, &error);
    expect(rc == 0);
    rc = drain(decoder, out, out_size, result, &error);
    check_error(rc, &error);
    result->source_bytes = feed.bytes;
    expect(rc != 0 || result->source_bytes == size);
    layer_decoder_free(decoder);
    feed_clear(&feed);
    return rc;
}

static int stream(const uint8_t *data, size_t size, size_t piece,
                  struct layer_stream_result *result)
{
    struct input input = make_input(data, size, piece);
    const struct layer_stream_options options = {.max_bytes = BYTES_MAX, .max_ratio = 1200};
    struct layer_stream *opened = NULL;
    struct error error = {0};
    int rc = layer_stream_open(&input.base, &options, &opened, &error);
    expect(rc == 0);
    rc = layer_stream_finish(opened, result, &error);
    layer_stream_clear(&opened);
    check_error(rc, &error);
    return rc;
}

/* Where it is both too much and broken, what is asked for at a time decides what is seen first. */
static void expect_equal(int a_rc, const struct layer_stream_result *a, int b_rc,
                         const struct layer_stream_result *b)
{
    expect(a_rc == b_rc ||
           (a_rc != 0 && b_rc != 0 && (a_rc == ERROR_NO_SPACE || b_rc == ERROR_NO_SPACE)));
    expect(a_rc != 0 || (a->bytes == b->bytes && a->source_bytes == b->source_bytes &&
                         digest_equal(&a->digest, &b->digest)));
}

/* The first byte says how the source cuts the others, which are the layer, and how much is asked
 * for at a time. Neither may matter. One in 16 goes through the whole pipeline too, which takes
 * longer. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct layer_stream_result whole;
    struct layer_stream_result other;
    if (size < 1)
        return 0;
    size_t piece = (size_t) data[0] + 1;
    int rc = decode(data + 1, size - 1, size, 65536, &whole);
    int other_rc = decode(data + 1, size - 1, piece, piece * 41, &other);
    expect_equal(rc, &whole, other_rc, &other);
    if (data[0] % 16 == 15) {
        other_rc = stream(data + 1, size - 1, piece, &other);
        expect_equal(rc, &whole, other_rc, &other);
    }
    return 0;
}
