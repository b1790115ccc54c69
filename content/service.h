/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "content/content.h"
#include "rpc/server.h"

#define CONTENT_SERVICE_NAME "containerd.services.content.v1.Content"

/* Adds containerd.services.content.v1.Content to the server. */
void content_service_add(struct rpc_server *server, struct content *content);

/* Write, which has a file of its own. */
rpc_step content_write;
