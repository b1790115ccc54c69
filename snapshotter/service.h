/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "rpc/server.h"
#include "snapshotter/snapshotter.h"

#define SNAPSHOT_SERVICE_NAME "containerd.services.snapshots.v1.Snapshots"

/* Adds containerd.services.snapshots.v1.Snapshots to the server. */
void snapshot_service_add(struct rpc_server *server, struct snapshotter *snapshotter);
