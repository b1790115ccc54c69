/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "diff/containerd_client.h"
#include "rpc/client.h"

/* For diff/ alone: one call to containerd. */

struct containerd_client {
    struct rpc_client *rpc;
    char *path; /* of its socket */
};

/* So long may containerd take for one answer: it waits for its disk and for garbage collection. */
#define CONTAINERD_TIMEOUT_MS 120000
/* For what is cleared away after a failure, cancelled or not: what is left over expires. */
#define CONTAINERD_LAST_TIMEOUT_MS 10000

struct containerd_call {
    struct rpc_header headers[2];
    struct rpc_client_call_options options; /* with these headers */
};

/* What is sent in the name of the scope, which must outlive the call. */
void containerd_call_fill(struct containerd_call *call, const struct containerd_scope *scope);

/* Says in *error what it means for our client that a call ended with it. Returns the code. */
int containerd_call_explain(const struct containerd_client *client,
                            const struct containerd_scope *scope, struct error *error);

/* A unary call, explained. The caller frees *out_response as rpc_client_call says; NULL: it is
 * dropped. */
int containerd_call(struct containerd_client *client, const struct containerd_scope *scope,
                    const char *method, const ProtobufCMessage *request,
                    const ProtobufCMessageDescriptor *response, ProtobufCMessage **out_response,
                    struct error *error);

/* containerd_lease_new's lease, or another one, keeps the blob, too. */
int containerd_lease_add(struct containerd_client *client, const struct containerd_scope *scope,
                         const struct digest *digest, struct error *error);
