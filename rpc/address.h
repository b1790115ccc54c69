/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <sys/socket.h>
#include <sys/un.h>

#include "base/error.h"

/* The address of a unix socket. ERROR_INVALID unless the path is absolute and fits. */
int rpc_address_make(const char *path, struct sockaddr_un *out_address, struct error *error);

/* 0 if somebody listens there, who sees a connection that is closed at once; else -1 and errno. */
int rpc_address_probe(const struct sockaddr_un *address);
