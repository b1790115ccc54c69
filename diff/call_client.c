/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/call_client.h"

#include <string.h>

void containerd_call_fill(struct containerd_call *call, const struct containerd_scope *scope)
{
    *call = (struct containerd_call){
        .headers = {{"containerd-namespace", scope->namespace_name},
                    {"containerd-lease", scope->lease}},
        .options = {.header_count = scope->lease ? 2 : 1,
                    .cancel = scope->cancel,
                    .timeout_ms = CONTAINERD_TIMEOUT_MS},
    };
    call->options.headers = call->headers;
}

static void explain_unreachable(const struct containerd_client *client, struct error *error)
{
    int sys = error->sys;
    char text[128];
    (void) error_set(error, ERROR_BUSY,
                     "containerd at %s cannot be reached: %s; set [containerd] address",
                     client->path, error_number_text(sys, text, sizeof text));
    error->sys = sys;
}

int containerd_call_explain(const struct containerd_client *client,
                            const struct containerd_scope *scope, struct error *error)
{
    if (error->code == ERROR_BUSY && error->sys != 0)
        explain_unreachable(client, error);
    else if (error->code == ERROR_CANCELLED && !cancel_requested(scope->cancel))
        error->code = ERROR_BUSY; /* it is containerd that gives up, as it does when it stops */
    else if (error->code == ERROR_UNIMPLEMENTED)
        error->code = ERROR_IO; /* or it would mean that another differ should try */
    return error->code;
}

int containerd_call(struct containerd_client *client, const struct containerd_scope *scope,
                    const char *method, const ProtobufCMessage *request,
                    const ProtobufCMessageDescriptor *response, ProtobufCMessage **out_response,
                    struct error *error)
{
    struct containerd_call call;
    struct error raised = {0};
    ProtobufCMessage *message = NULL;
    containerd_call_fill(&call, scope);
    int rc =
        rpc_client_call(client->rpc, method, &call.options, request, response, &message, &raised);
    if (rc != 0) {
        rc = containerd_call_explain(client, scope, &raised);
        if (error)
            *error = raised;
    } else if (out_response) {
        *out_response = message;
    } else {
        protobuf_c_message_free_unpacked(message, NULL);
    }
    return rc;
}
