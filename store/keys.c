/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/digest.h"
#include "base/mem.h"
#include "store/internal.h"

/*
 * Clients' keys are longer than LMDB's 511 bytes, so records go by a hash; the full names stand in
 * the record and are compared. The terminating NULs separate the parts: none of them can hold one.
 */
static const char service[] = "snapshots";

void store_key_scope(const char *snapshotter, uint8_t out[STORE_KEY_SCOPE])
{
    size_t length = strlen(snapshotter) + 1;
    owned(mem_free) char *text = mem_alloc(sizeof service + length);
    memcpy(text, service, sizeof service);
    memcpy(text + sizeof service, snapshotter, length);
    uint8_t digest[DIGEST_SHA256_SIZE];
    digest_sha256(text, sizeof service + length, digest);
    memcpy(out, digest, STORE_KEY_SCOPE);
}

void store_key_make(const char *snapshotter, const char *key, uint8_t out[STORE_KEY_SIZE])
{
    size_t scope_length = strlen(snapshotter) + 1;
    size_t key_length = strlen(key) + 1;
    size_t length = sizeof service + scope_length + key_length;
    owned(mem_free) char *text = mem_alloc(length);
    memcpy(text, service, sizeof service);
    memcpy(text + sizeof service, snapshotter, scope_length);
    memcpy(text + sizeof service + scope_length, key, key_length);
    store_key_scope(snapshotter, out);
    digest_sha256(text, length, out + STORE_KEY_SCOPE);
}
