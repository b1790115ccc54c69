/* SPDX-License-Identifier: Apache-2.0 */
#include "base/random.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

void random_uuid(char out[40])
{
    uint8_t bytes[16];
    if (getentropy(bytes, sizeof bytes) != 0)
        abort();
    bytes[6] = (uint8_t) ((bytes[6] & 0x0f) | 0x40);
    bytes[8] = (uint8_t) ((bytes[8] & 0x3f) | 0x80);
    size_t length = 0;
    for (size_t i = 0; i < sizeof bytes; i++) {
        const char *dash = i == 4 || i == 6 || i == 8 || i == 10 ? "-" : "";
        length += (size_t) snprintf(out + length, 40 - length, "%s%02x", dash, bytes[i]);
    }
}
