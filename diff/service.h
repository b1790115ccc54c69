/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "diff/differ.h"
#include "rpc/server.h"

#define DIFF_SERVICE_NAME "containerd.services.diff.v1.Diff"

/* Adds containerd.services.diff.v1.Diff to the server. */
void diff_service_add(struct rpc_server *server, struct differ *differ);
