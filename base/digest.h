/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* Digests as containerd names content: "algorithm:hex" in lower case. */

#define DIGEST_SHA256_SIZE 32
#define DIGEST_MAX_SIZE 64
/* Room for the longest text with its NUL. */
#define DIGEST_TEXT_SIZE (sizeof "sha512:" + 2 * (size_t) DIGEST_MAX_SIZE)

enum digest_algorithm { DIGEST_SHA256 = 1, DIGEST_SHA384 = 2, DIGEST_SHA512 = 3 };

struct digest {
    enum digest_algorithm algorithm;
    uint8_t bytes[DIGEST_MAX_SIZE]; /* zero beyond the algorithm's size */
};

/* "sha256", ...; NULL for what is no algorithm. */
const char *digest_algorithm_name(enum digest_algorithm algorithm);

/* Bytes of a digest; 0 for what is no algorithm. */
size_t digest_size(enum digest_algorithm algorithm);

/* ERROR_INVALID unless text is a digest of a known algorithm, to the letter (contract 6.1). */
int digest_parse(const char *text, struct digest *out_digest, struct error *error);

/* The same of the hexadecimal part alone, as blobs have it for file names; false unless it is one.
 */
bool digest_from_hex(enum digest_algorithm algorithm, const char *hex, struct digest *out_digest);

/* digest is one of a known algorithm. */
void digest_format(const struct digest *digest, char out[DIGEST_TEXT_SIZE]);

/* The text's part behind the colon. */
const char *digest_text_hex(const char text[DIGEST_TEXT_SIZE]);

bool digest_equal(const struct digest *a, const struct digest *b);

/* One-shot SHA-256. */
void digest_sha256(const void *data, size_t length, uint8_t out[DIGEST_SHA256_SIZE]);

/* A running digest. Belongs to one thread at a time. */
struct digester;

struct digester *digester_new(enum digest_algorithm algorithm);
void digester_free(struct digester *digester);   /* NULL is allowed */
void digester_clear(struct digester **digester); /* for owned() */

enum digest_algorithm digester_algorithm(const struct digester *digester);
void digester_reset(struct digester *digester); /* as if nothing had been added */
void digester_add(struct digester *digester, const void *data, size_t length);

/* The digest of what was added so far; more may follow. */
void digester_read(const struct digester *digester, struct digest *out_digest);
