/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"
#include "rpc/server.h"

/*
 * Our own listener on a unix socket: mode 0600 from the first instant, peers of another user than
 * ours and root turned away, no other server's path taken over. Connections go to an rpc_server.
 */
struct rpc_listener;

/*
 * Binds path (its folder is made with mode 0700 if it is missing) and starts to accept. A socket
 * that nobody listens on is replaced; one that answers, or any other file, is ERROR_PRECONDITION; a
 * path that is too long for a socket address is ERROR_INVALID.
 */
int rpc_listener_open(const char *path, struct rpc_server *server,
                      struct rpc_listener **out_listener, struct error *error);

/* Stops to accept and removes the path. Connections live on. NULL is allowed. */
void rpc_listener_close(struct rpc_listener *listener);
