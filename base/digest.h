/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SHA256_SIZE 32

/* One-shot SHA-256. */
void digest_sha256(const void *data, size_t length, uint8_t out[DIGEST_SHA256_SIZE]);
