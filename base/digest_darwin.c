/* SPDX-License-Identifier: Apache-2.0 */
#include <CommonCrypto/CommonDigest.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/mem.h"

/* SHA-384 runs in the state of SHA-512. */
struct digester {
    enum digest_algorithm algorithm;
    union {
        CC_SHA256_CTX sha256;
        CC_SHA512_CTX sha512;
    } state;
};

/* CommonCrypto counts in 32 bits. */
#define PART_BYTES ((size_t) 1 << 30)

void digest_sha256(const void *data, size_t length, uint8_t out[DIGEST_SHA256_SIZE])
{
    struct digest digest;
    struct digester digester = {.algorithm = DIGEST_SHA256};
    digester_reset(&digester);
    digester_add(&digester, data, length);
    digester_read(&digester, &digest);
    for (size_t i = 0; i < DIGEST_SHA256_SIZE; i++)
        out[i] = digest.bytes[i];
}

struct digester *digester_new(enum digest_algorithm algorithm)
{
    struct digester *digester = mem_alloc(sizeof *digester);
    digester->algorithm = algorithm;
    digester_reset(digester);
    return digester;
}

void digester_free(struct digester *digester)
{
    free(digester);
}

enum digest_algorithm digester_algorithm(const struct digester *digester)
{
    return digester->algorithm;
}

void digester_reset(struct digester *digester)
{
    if (digester->algorithm == DIGEST_SHA256)
        (void) CC_SHA256_Init(&digester->state.sha256);
    else if (digester->algorithm == DIGEST_SHA384)
        (void) CC_SHA384_Init(&digester->state.sha512);
    else
        (void) CC_SHA512_Init(&digester->state.sha512);
}

static void add_part(struct digester *digester, const void *data, CC_LONG length)
{
    if (digester->algorithm == DIGEST_SHA256)
        (void) CC_SHA256_Update(&digester->state.sha256, data, length);
    else if (digester->algorithm == DIGEST_SHA384)
        (void) CC_SHA384_Update(&digester->state.sha512, data, length);
    else
        (void) CC_SHA512_Update(&digester->state.sha512, data, length);
}

void digester_add(struct digester *digester, const void *data, size_t length)
{
    const uint8_t *bytes = data;
    while (length > 0) {
        size_t part = length < PART_BYTES ? length : PART_BYTES;
        add_part(digester, bytes, (CC_LONG) part);
        bytes += part;
        length -= part;
    }
}

void digester_read(const struct digester *digester, struct digest *out_digest)
{
    struct digester copy = *digester;
    *out_digest = (struct digest){.algorithm = digester->algorithm};
    if (copy.algorithm == DIGEST_SHA256)
        (void) CC_SHA256_Final(out_digest->bytes, &copy.state.sha256);
    else if (copy.algorithm == DIGEST_SHA384)
        (void) CC_SHA384_Final(out_digest->bytes, &copy.state.sha512);
    else
        (void) CC_SHA512_Final(out_digest->bytes, &copy.state.sha512);
}
