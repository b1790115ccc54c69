/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

#include "rpc/server.h"

/* grpc.health.v1.Health/Check: SERVING for "" and for every service of the list. */
struct rpc_health {
    const char *const *services; /* "containerd.services.snapshots.v1.Snapshots", ... */
    size_t service_count;
};

/* Adds the method; health lives as long as the server. */
void rpc_health_add(struct rpc_server *server, struct rpc_health *health);
