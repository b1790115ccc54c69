/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/feed.h"

#include <assert.h>
#include <string.h>

#include "base/mem.h"

#define BUFFER_BYTES ((size_t) 256 << 10)

void feed_init(struct feed *feed, struct layer_source *source, const struct cancel *cancel,
               const struct cancel *other)
{
    *feed = (struct feed){
        .source = source, .cancels = {cancel, other}, .buffer = mem_alloc(BUFFER_BYTES)};
}

void feed_clear(struct feed *feed)
{
    mem_free(&feed->buffer);
    *feed = (struct feed){0};
}

/* Asks the source, once. */
static ssize_t ask(struct feed *feed, void *out, size_t size, struct error *error)
{
    if (feed->ended)
        return 0;
    if (cancel_requested(feed->cancels[0]) || cancel_requested(feed->cancels[1]))
        return error_set(error, ERROR_CANCELLED, "reading the layer was cancelled");
    ssize_t got = feed->source->read(feed->source, out, size, error);
    assert(got <= (ssize_t) size);
    if (got == 0)
        feed->ended = true;
    return got;
}

int feed_need(struct feed *feed, size_t count, struct error *error)
{
    assert(count <= FEED_NEED_MAX);
    if (feed_size(feed) >= count)
        return 0;
    memmove(feed->buffer, feed_data(feed), feed_size(feed));
    feed->end = feed_size(feed);
    feed->begin = 0;
    while (feed->end < count && !feed->ended) {
        ssize_t got = ask(feed, feed->buffer + feed->end, BUFFER_BYTES - feed->end, error);
        if (got < 0)
            return (int) got;
        feed->end += (size_t) got;
    }
    return 0;
}

void feed_take(struct feed *feed, size_t count)
{
    assert(count <= feed_size(feed));
    feed->begin += count;
    feed->bytes += count;
}

ssize_t feed_read(struct feed *feed, void *out, size_t size, struct error *error)
{
    size_t buffered = feed_size(feed);
    if (buffered == 0) {
        ssize_t got = ask(feed, out, size, error);
        if (got > 0)
            feed->bytes += (uint64_t) got;
        return got;
    }
    size_t count = size < buffered ? size : buffered;
    memcpy(out, feed_data(feed), count);
    feed_take(feed, count);
    return (ssize_t) count;
}
