/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

enum { FIRST_CAPACITY = 1024 };

static void add_name(struct listing *listing, const char *name)
{
    size_t size = strlen(name) + 1;
    if (listing->text_capacity - listing->text_size < size) {
        size_t capacity = listing->text_capacity ? 2 * listing->text_capacity : FIRST_CAPACITY;
        listing->text = mem_resize(listing->text, capacity, 1);
        listing->text_capacity = capacity;
    }
    memcpy(listing->text + listing->text_size, name, size);
    listing->text_size += size;
    listing->count++;
}

static int compare_names(const void *a, const void *b)
{
    const char *const *a_name = a;
    const char *const *b_name = b;
    return strcmp(*a_name, *b_name); /* by unsigned bytes */
}

static void sort_names(struct listing *listing)
{
    listing->names = mem_alloc_array(listing->count, sizeof *listing->names);
    const char *name = listing->text;
    for (size_t i = 0; i < listing->count; i++) {
        listing->names[i] = name;
        name += strlen(name) + 1;
    }
    qsort(listing->names, listing->count, sizeof *listing->names, compare_names);
}

int listing_read(struct listing *listing, struct dir_stream *stream, int fd,
                 const struct cancel *cancel, struct error *error)
{
    int more;
    while ((more = dir_stream_fill(stream, fd)) > 0) {
        struct dir_entry entry;
        if (cancel_requested(cancel))
            return error_set(error, ERROR_CANCELLED, "asked to stop");
        while (dir_stream_next(stream, &entry))
            add_name(listing, entry.name);
    }
    if (more < 0)
        return error_errno(error, "cannot read a directory");
    if (listing->count > 0)
        sort_names(listing);
    return 0;
}

const char *listing_peek(const struct listing *listing)
{
    return listing->next < listing->count ? listing->names[listing->next] : NULL;
}

void listing_take(struct listing *listing)
{
    listing->next++;
}

void listing_clear(struct listing *listing)
{
    mem_free(&listing->text);
    mem_free(&listing->names);
    *listing = LISTING_NULL;
}
