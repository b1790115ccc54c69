/* SPDX-License-Identifier: Apache-2.0 */
#include <openssl/sha.h>

#include "base/digest.h"

void digest_sha256(const void *data, size_t length, uint8_t out[DIGEST_SHA256_SIZE])
{
    (void) SHA256(data, length, out);
}
