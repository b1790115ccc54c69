/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>

#include "base/mem.h"
#include "content/internal.h"

#define DEFAULT_SCRUB_DAYS 30

static void init_tables(struct content *content)
{
    digest_locks_init(&content->digests);
    ingest_table_init(&content->ingests);
    for (int i = DIGEST_SHA256; i <= DIGEST_SHA512; i++)
        sync_group_init(&content->blob_dirs[i], content->root->blob_fds[i]);
}

int content_open(struct store *store, const struct store_root *root, struct trash *trash,
                 const struct content_options *options, struct content **out_content,
                 struct error *error)
{
    struct content *content = mem_alloc(sizeof *content);
    *content = (struct content){.store = store, .root = root, .trash = trash, .options = *options};
    if (content->options.scrub_days == 0)
        content->options.scrub_days = DEFAULT_SCRUB_DAYS;
    init_tables(content);
    content->readers = reader_cache_new();
    int rc = content_sweep(content, error);
    if (rc == 0)
        rc = recorder_open(content, &content->recorder, error);
    if (rc == 0)
        rc = scrub_open(content, &content->scrub, error);
    if (rc != 0) {
        content_close(content);
        return rc;
    }
    trash_wake(trash); /* for what the sweep put there */
    *out_content = content;
    return 0;
}

void content_close(struct content *content)
{
    if (!content)
        return;
    scrub_close(content->scrub);
    recorder_close(content->recorder);
    reader_cache_free(content->readers);
    ingest_table_clear(&content->ingests);
    for (int i = DIGEST_SHA256; i <= DIGEST_SHA512; i++)
        sync_group_clear(&content->blob_dirs[i]);
    digest_locks_clear(&content->digests);
    free(content);
}
