/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* An end of a connection that is not core's. What cannot be fails the test. */

/* A unary call with one header of its own, as no client of core need send it: any bytes are its
 * value. All together are less than 1 KiB, and each part is less than 128 bytes. */
struct raw_peer_call {
    const char *method;
    const char *key;
    const char *value;
    const void *message;
    size_t size;
};

/* Makes the call on a connection of its own. Stores the bytes that come, up to the status and
 * maybe beyond, and returns how many. */
size_t raw_peer_call(const char *path, const struct raw_peer_call *call, void *answer,
                     size_t capacity);

/* A socket that listens at the path, for a peer that accepts nothing and never speaks. */
int raw_peer_listen(const char *path);
