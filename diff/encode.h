/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/digest.h"
#include "base/error.h"
#include "diff/sink.h"

/*
 * Compresses a layer while it is made: the caller adds uncompressed bytes, the sink gets compressed
 * ones. Compression uses several threads; its result depends on the bytes alone, not on how many
 * threads there were nor on how the bytes were cut. Memory is bounded.
 */
enum layer_compression { LAYER_PLAIN, LAYER_GZIP, LAYER_ZSTD };

struct layer_encoder;

struct layer_encoder_options {
    enum layer_compression compression;
    unsigned threads; /* at most, and never more than 16; 0 = as many as CPUs, 4 at most */
    const struct cancel *cancel; /* polled; may be NULL */
};

/* The sink stays the caller's and must outlive the encoder. */
int layer_encoder_open(struct layer_sink *sink, const struct layer_encoder_options *options,
                       struct layer_encoder **out_encoder, struct error *error);

int layer_encoder_add(struct layer_encoder *encoder, const void *data, size_t size,
                      struct error *error);

struct layer_encoder_result {
    struct digest digest; /* sha256 of what the sink got */
    uint64_t bytes;
    struct digest plain_digest; /* sha256 of what was added */
    uint64_t plain_bytes;
};

/* Compresses what is left; the sink has everything when this returns. */
int layer_encoder_finish(struct layer_encoder *encoder, struct layer_encoder_result *out_result,
                         struct error *error);

/* Stops, finished or not, and frees; a write to the sink that is under way is waited for. For
 * owned(); NULL is allowed. */
void layer_encoder_clear(struct layer_encoder **encoder);
