/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "base/digest.h"
#include "store/blobs.h"

/*
 * Blobs that were read a moment ago, open: containerd reads a blob with one call for each 32 KiB
 * (contract 6.4). What is in the cache was found to be right when it was opened; whoever takes it
 * looks whether the file was touched since.
 */
struct open_blob {
    int fd; /* set once, as all but the count */
    uint64_t size;
    struct file_stamp stamp;
    struct digest digest;
    atomic_uint references;
};

/* With one reference. */
struct open_blob *open_blob_new(int take_fd, const struct blob_record *record,
                                const struct file_stamp *stamp);
void open_blob_unref(struct open_blob *blob); /* NULL is allowed */

struct reader_cache;

struct reader_cache *reader_cache_new(void);
void reader_cache_free(struct reader_cache *cache);

/* A reference to the blob, or NULL. */
struct open_blob *reader_cache_get(struct reader_cache *cache, const struct digest *digest);

/* Adds a blob, of which the cache takes a reference of its own, in place of the one that was used
 * least recently. */
void reader_cache_put(struct reader_cache *cache, struct open_blob *blob);

/* Forgets the blob of the digest, which is being deleted or is not right any more. */
void reader_cache_drop(struct reader_cache *cache, const struct digest *digest);
