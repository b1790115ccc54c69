/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/service.h"

#include <stdlib.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "diff.pb-c.h"
#include "rpc/message.h"

typedef Containerd__Services__Diff__V1__ApplyRequest ApplyRequest;
typedef Containerd__Services__Diff__V1__ApplyResponse ApplyResponse;
typedef Containerd__Services__Diff__V1__DiffRequest DiffRequest;
typedef Containerd__Services__Diff__V1__DiffResponse DiffResponse;
typedef Containerd__Types__Descriptor DescriptorMessage;
typedef Containerd__Types__Mount MountMessage;

/* Mounts of a message as the domain takes them; they borrow its strings. Free with mem_free. */
static struct differ_mount *read_mounts(MountMessage *const *messages, size_t count)
{
    struct differ_mount *mounts = mem_alloc_array(count + 1, sizeof *mounts);
    for (size_t i = 0; i < count; i++)
        mounts[i] = (struct differ_mount){.type = messages[i]->type,
                                          .source = messages[i]->source,
                                          .options = messages[i]->options,
                                          .option_count = messages[i]->n_options};
    return mounts;
}

static struct differ_caller read_caller(struct rpc_call *call)
{
    return (struct differ_caller){
        .namespace_name = rpc_call_header(call, "containerd-namespace"),
        .lease = rpc_call_header(call, "containerd-lease"),
        .cancel = rpc_call_cancel(call),
    };
}

/* digest is room for the text, which the message borrows. */
static void fill_descriptor(DescriptorMessage *message, const struct differ_layer *layer,
                            char digest[DIGEST_TEXT_SIZE])
{
    digest_format(&layer->digest, digest);
    containerd__types__descriptor__init(message);
    message->media_type = (char *) layer->media_type;
    message->digest = digest;
    message->size = (int64_t) layer->size;
}

static int run_apply(struct rpc_call *call, const ApplyRequest *message,
                     struct differ_layer *out_layer, struct error *error)
{
    struct digest digest;
    if (!message->diff)
        return error_set(error, ERROR_INVALID, "the layer's descriptor is missing");
    int rc = digest_parse(message->diff->digest, &digest, error);
    if (rc != 0)
        return rc;
    owned(mem_free) struct differ_mount *mounts = read_mounts(message->mounts, message->n_mounts);
    const struct differ_apply_request request = {
        .caller = read_caller(call),
        .media_type = message->diff->media_type,
        .digest = &digest,
        .mounts = mounts,
        .mount_count = message->n_mounts,
        .sync = message->sync_fs,
    };
    return differ_apply(rpc_call_service(call), &request, out_layer, error);
}

static void apply_now(struct rpc_call *call)
{
    const ApplyRequest *message = rpc_call_request(call);
    struct differ_layer layer = {0};
    struct error error = {0};
    char text[DIGEST_TEXT_SIZE];
    if (run_apply(call, message, &layer, &error) != 0) {
        rpc_fail_logged(call, "Apply", message->diff ? message->diff->digest : "", &error);
        return;
    }
    DescriptorMessage descriptor;
    ApplyResponse response = CONTAINERD__SERVICES__DIFF__V1__APPLY_RESPONSE__INIT;
    fill_descriptor(&descriptor, &layer, text);
    response.applied = &descriptor;
    rpc_call_reply(call, &response.base);
}

static int run_diff(struct rpc_call *call, const DiffRequest *message,
                    struct differ_layer *out_layer, struct error *error)
{
    owned(mem_free) struct differ_mount *left = read_mounts(message->left, message->n_left);
    owned(mem_free) struct differ_mount *right = read_mounts(message->right, message->n_right);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    rpc_labels_read(message->labels, message->n_labels, &labels);
    int rc = labels_check(&labels, error);
    if (rc != 0)
        return rc;
    const struct differ_diff_request request = {
        .caller = read_caller(call),
        .left = left,
        .left_count = message->n_left,
        .right = right,
        .right_count = message->n_right,
        .media_type = message->media_type,
        .ref = message->ref,
        .labels = &labels,
        .has_epoch = message->source_date_epoch != NULL,
        .epoch_seconds = message->source_date_epoch ? message->source_date_epoch->seconds : 0,
    };
    return differ_diff(rpc_call_service(call), &request, out_layer, error);
}

static void diff_now(struct rpc_call *call)
{
    const DiffRequest *message = rpc_call_request(call);
    struct differ_layer layer = {0};
    struct error error = {0};
    char text[DIGEST_TEXT_SIZE];
    if (run_diff(call, message, &layer, &error) != 0) {
        const char *right = message->n_right > 0 ? message->right[0]->source : "";
        rpc_fail_logged(call, "Diff", right, &error);
        return;
    }
    DescriptorMessage descriptor;
    DiffResponse response = CONTAINERD__SERVICES__DIFF__V1__DIFF_RESPONSE__INIT;
    fill_descriptor(&descriptor, &layer, text);
    response.diff = &descriptor;
    rpc_call_reply(call, &response.base);
}

/* Both take long, and wait for containerd: in a lane of their own, others' calls go on. */
static void apply(struct rpc_call *call)
{
    rpc_call_continue(call, RPC_LANE_LAYER, apply_now);
}

static void diff(struct rpc_call *call)
{
    rpc_call_continue(call, RPC_LANE_LAYER, diff_now);
}

static const struct rpc_method methods[] = {
    {.path = "/" DIFF_SERVICE_NAME "/Apply",
     .request = &containerd__services__diff__v1__apply_request__descriptor,
     .step = apply,
     .lane = RPC_LANE_QUICK},
    {.path = "/" DIFF_SERVICE_NAME "/Diff",
     .request = &containerd__services__diff__v1__diff_request__descriptor,
     .step = diff,
     .lane = RPC_LANE_QUICK},
};

void diff_service_add(struct rpc_server *server, struct differ *differ)
{
    rpc_server_add(server, methods, sizeof methods / sizeof methods[0], differ);
}
