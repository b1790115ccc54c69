/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/cancel.h"
#include "base/error.h"
#include "diff/source.h"

/*
 * The bytes of a source as decoders want them: some at a time, with a look ahead. Belongs to one
 * thread at a time.
 */
struct feed {
    struct layer_source *source;
    const struct cancel *cancels[2]; /* asked before the source is; may be NULL */
    uint8_t *buffer;
    size_t begin; /* of what was not taken yet */
    size_t end;
    bool ended;     /* the source has no more than this */
    uint64_t bytes; /* taken from the feed so far */
};

/* What feed_need can be asked for. */
#define FEED_NEED_MAX ((size_t) 16)

/* The source stays the caller's and must outlive the feed. */
void feed_init(struct feed *feed, struct layer_source *source, const struct cancel *cancel,
               const struct cancel *other);
void feed_clear(struct feed *feed);

/* Makes at least count bytes available, or all that are left at the end. Returns 0, ERROR_CANCELLED
 * or what the source says. */
int feed_need(struct feed *feed, size_t count, struct error *error);

static inline const uint8_t *feed_data(const struct feed *feed)
{
    return feed->buffer + feed->begin;
}

static inline size_t feed_size(const struct feed *feed)
{
    return feed->end - feed->begin;
}

/* Takes count bytes that are available. */
void feed_take(struct feed *feed, size_t count);

/* Takes at most size bytes, past the buffer where that saves a copy: how many, 0 at the end, or an
 * error code as feed_need. */
ssize_t feed_read(struct feed *feed, void *out, size_t size, struct error *error);
