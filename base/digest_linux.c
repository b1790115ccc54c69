/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/digest.h"
#include "base/mem.h"

struct digester {
    enum digest_algorithm algorithm;
    EVP_MD_CTX *running;
    EVP_MD_CTX *scratch; /* of digester_read, so that it makes no context per call */
};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const EVP_MD *implementations[DIGEST_SHA512 + 1]; /* set once, live as long as the process */

/* A libcrypto without these digests, or out of memory: there is nothing to save. */
static void must(bool worked)
{
    if (!worked) {
        (void) fputs("clonefsd: libcrypto cannot make a digest\n", stderr);
        abort();
    }
}

static void fetch(void)
{
    for (size_t i = DIGEST_SHA256; i <= DIGEST_SHA512; i++) {
        implementations[i] =
            EVP_MD_fetch(NULL, digest_algorithm_name((enum digest_algorithm) i), NULL);
        must(implementations[i]);
    }
}

void digest_sha256(const void *data, size_t length, uint8_t out[DIGEST_SHA256_SIZE])
{
    (void) SHA256(data, length, out);
}

struct digester *digester_new(enum digest_algorithm algorithm)
{
    must(digest_size(algorithm) > 0);
    (void) pthread_once(&once, fetch);
    struct digester *digester = mem_alloc(sizeof *digester);
    digester->algorithm = algorithm;
    digester->running = EVP_MD_CTX_new();
    digester->scratch = EVP_MD_CTX_new();
    must(digester->running && digester->scratch);
    digester_reset(digester);
    return digester;
}

void digester_free(struct digester *digester)
{
    if (!digester)
        return;
    EVP_MD_CTX_free(digester->running);
    EVP_MD_CTX_free(digester->scratch);
    free(digester);
}

enum digest_algorithm digester_algorithm(const struct digester *digester)
{
    return digester->algorithm;
}

void digester_reset(struct digester *digester)
{
    must(EVP_DigestInit_ex(digester->running, implementations[digester->algorithm], NULL));
}

void digester_add(struct digester *digester, const void *data, size_t length)
{
    must(EVP_DigestUpdate(digester->running, data, length));
}

void digester_read(const struct digester *digester, struct digest *out_digest)
{
    *out_digest = (struct digest){.algorithm = digester->algorithm};
    must(EVP_MD_CTX_copy_ex(digester->scratch, digester->running) &&
         EVP_DigestFinal_ex(digester->scratch, out_digest->bytes, NULL));
}
