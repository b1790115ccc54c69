/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/* The socket calls that differ between systems. */

/* Makes a stream socket, non-blocking and close-on-exec, whose path will have mode 0600 when it is
 * bound. -1 and errno on failure. */
int peer_socket(void);

/* Accepts a connection, non-blocking and close-on-exec. -1 and errno on failure. */
int peer_accept(int listener_fd);

/* True if the process at the other end runs as root or as our own user. */
bool peer_is_trusted(int fd);
