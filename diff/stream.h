/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/error.h"
#include "diff/source.h"

/*
 * A layer as a stream of uncompressed bytes. One thread reads and inflates ahead, another computes
 * the digest, the caller takes the bytes; all three work on the same blocks of bounded number, so
 * memory is bounded (LAYER_STREAM_BYTES) whatever the layer says. What the bytes are is decided by
 * their first ones (contract 7.1): gzip (any number of members), zstd (any number of frames,
 * skippable ones too) or anything else as it is.
 */
struct layer_stream;

/* How far ahead of the caller it reads: big files wait for what inflates, many small ones keep the
 * caller busy, and this much evens out most of that. Of a smaller layer no more is touched. */
#define LAYER_STREAM_BYTES ((size_t) 32 << 20)

struct layer_stream_options {
    const struct cancel *cancel; /* polled; may be NULL */
    bool raw;                    /* do not look at the first bytes: all is as it is */
    uint64_t max_bytes;          /* uncompressed; more is ERROR_NO_SPACE. 0 = any */
    unsigned max_ratio;          /* uncompressed to compressed beyond the first 64 MiB; more is
                                    ERROR_INVALID. 0 = any */
};

/* Starts reading the source, which stays the caller's and must outlive the stream. */
int layer_stream_open(struct layer_source *source, const struct layer_stream_options *options,
                      struct layer_stream **out_stream, struct error *error);

/* The next bytes, which live until the next call: 1, 0 at the end, or an error code: ERROR_CORRUPT
 * for data that cannot be inflated or ends too early, ERROR_CANCELLED, what the source says. */
int layer_stream_next(struct layer_stream *stream, const void **out_data, size_t *out_size,
                      struct error *error);

struct layer_stream_result {
    struct digest digest; /* sha256 of all uncompressed bytes */
    uint64_t bytes;       /* uncompressed */
    uint64_t source_bytes;
};

/* Takes and drops what is left, to the end of the source, and waits for the digest. */
int layer_stream_finish(struct layer_stream *stream, struct layer_stream_result *out_result,
                        struct error *error);

/* Stops the threads, wherever they are, and frees the stream; a read of the source that is under
 * way is waited for. For owned(); NULL is allowed. */
void layer_stream_clear(struct layer_stream **stream);
