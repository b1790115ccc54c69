/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/containerd_client.h"

#include <google/protobuf/empty.pb-c.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "content.pb-c.h"
#include "diff/call_client.h"
#include "leases.pb-c.h"
#include "rpc/message.h"

typedef Containerd__Services__Content__V1__ReadContentRequest ReadRequest;
typedef Containerd__Services__Content__V1__ReadContentResponse ReadResponse;
typedef Containerd__Services__Leases__V1__CreateRequest CreateRequest;
typedef Containerd__Services__Leases__V1__CreateResponse CreateResponse;
typedef Containerd__Services__Leases__V1__DeleteRequest DeleteRequest;
typedef Containerd__Services__Leases__V1__AddResourceRequest AddResourceRequest;

#define READ "/containerd.services.content.v1.Content/Read"
#define LEASES "/containerd.services.leases.v1.Leases/"

int containerd_client_new(const char *path, struct containerd_client **out_client,
                          struct error *error)
{
    struct rpc_client *rpc = NULL;
    int rc = rpc_client_new(path, &rpc, error);
    if (rc != 0)
        return rc;
    struct containerd_client *client = mem_alloc(sizeof *client);
    client->rpc = rpc;
    client->path = mem_strdup(path);
    *out_client = client;
    return 0;
}

void containerd_client_free(struct containerd_client *client)
{
    if (!client)
        return;
    rpc_client_free(client->rpc);
    mem_free(&client->path);
    free(client);
}

/* A blob that is being read. */
struct blob_source {
    struct layer_source source;
    const struct containerd_client *client;
    struct containerd_scope scope; /* for its cancel */
    struct rpc_client_stream *stream;
    const uint8_t *data; /* of the last message, not handed out yet */
    size_t left;
    bool ended;
    char digest[DIGEST_TEXT_SIZE];
};

/* Gets the next message that has data, unless the blob has ended. */
static int read_on(struct blob_source *source, struct error *error)
{
    struct error raised = {0};
    while (!source->ended && source->left == 0) {
        const ProtobufCMessage *message = NULL;
        int rc = rpc_client_stream_receive(source->stream, &message, &raised);
        if (rc < 0) {
            rc = containerd_call_explain(source->client, &source->scope, &raised);
            (void) error_wrap(&raised, "cannot read %s", source->digest);
            if (error)
                *error = raised;
            return rc;
        }
        source->ended = rc == 0;
        if (rc == 1) {
            const ReadResponse *response = (const ReadResponse *) message;
            source->data = response->data.data;
            source->left = response->data.len;
        }
    }
    return 0;
}

static ssize_t blob_read(struct layer_source *layer_source, void *buffer, size_t size,
                         struct error *error)
{
    struct blob_source *source = (struct blob_source *) layer_source;
    int rc = read_on(source, error);
    if (rc != 0)
        return rc;
    size_t count = source->left < size ? source->left : size;
    if (count > 0) {
        memcpy(buffer, source->data, count);
        source->data += count;
        source->left -= count;
    }
    return (ssize_t) count;
}

static void blob_close(struct layer_source *layer_source)
{
    struct blob_source *source = (struct blob_source *) layer_source;
    rpc_client_stream_clear(&source->stream);
    free(source);
}

static int start_reading(struct blob_source *source, struct containerd_client *client,
                         const struct containerd_scope *scope, struct error *error)
{
    struct containerd_call call;
    struct error raised = {0};
    ReadRequest request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    request.digest = source->digest;
    containerd_call_fill(&call, scope);
    int rc = rpc_client_stream_open(
        client->rpc, READ, &call.options,
        &containerd__services__content__v1__read_content_response__descriptor, &source->stream,
        &raised);
    if (rc == 0)
        rc = rpc_client_stream_send(source->stream, &request.base, true, &raised);
    if (rc == 0)
        return read_on(source, error); /* tells whether there is such a blob */
    rc = containerd_call_explain(client, scope, &raised);
    (void) error_wrap(&raised, "cannot read %s", source->digest);
    if (error)
        *error = raised;
    return rc;
}

int containerd_blob_open(struct containerd_client *client, const struct containerd_scope *scope,
                         const struct digest *digest, struct layer_source **out_source,
                         struct error *error)
{
    struct blob_source *source = mem_alloc(sizeof *source);
    source->source = (struct layer_source){.read = blob_read, .close = blob_close};
    source->client = client;
    source->scope.cancel = scope->cancel;
    digest_format(digest, source->digest);
    int rc = start_reading(source, client, scope, error);
    if (rc != 0)
        blob_close(&source->source);
    else
        *out_source = &source->source;
    return rc;
}

/* RFC 3339, as containerd reads the time when a lease ends. */
static void format_time(int64_t seconds, char out[32])
{
    const time_t time = (time_t) seconds;
    struct tm parts = {0};
    (void) gmtime_r(&time, &parts);
    (void) strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts);
}

static int take_lease_id(const CreateResponse *response, char **out_id, struct error *error)
{
    if (!response->lease || !response->lease->id[0])
        return error_set(error, ERROR_IO, "containerd made a lease without an id");
    *out_id = mem_strdup(response->lease->id);
    return 0;
}

int containerd_lease_new(struct containerd_client *client, const struct containerd_scope *scope,
                         unsigned expire_seconds, char **out_id, struct error *error)
{
    const struct containerd_scope without = {.namespace_name = scope->namespace_name,
                                             .cancel = scope->cancel};
    CreateRequest request = CONTAINERD__SERVICES__LEASES__V1__CREATE_REQUEST__INIT;
    ProtobufCMessage *response = NULL;
    char expire[32];
    owned(labels_clear) struct labels labels = LABELS_NULL;
    owned(rpc_labels_clear) struct rpc_labels filled = {0};
    format_time(clock_now().seconds + expire_seconds, expire);
    labels_set(&labels, "containerd.io/gc.expire", expire);
    rpc_labels_fill(&filled, &labels,
                    &containerd__services__leases__v1__create_request__labels_entry__descriptor);
    request.n_labels = filled.count;
    request.labels =
        (Containerd__Services__Leases__V1__CreateRequest__LabelsEntry **) filled.pointers;
    int rc = containerd_call(client, &without, LEASES "Create", &request.base,
                             &containerd__services__leases__v1__create_response__descriptor,
                             &response, error);
    if (rc == 0) {
        rc = take_lease_id((const CreateResponse *) response, out_id, error);
        protobuf_c_message_free_unpacked(response, NULL);
    }
    if (rc != 0)
        (void) error_wrap(error, "cannot make a lease");
    return rc;
}

int containerd_lease_delete(struct containerd_client *client, const struct containerd_scope *scope,
                            const char *id, struct error *error)
{
    DeleteRequest request = CONTAINERD__SERVICES__LEASES__V1__DELETE_REQUEST__INIT;
    request.id = (char *) id;
    struct containerd_scope last = *scope;
    struct containerd_call call;
    struct error raised = {0};
    ProtobufCMessage *response = NULL;
    last.cancel = NULL; /* which is often why the lease is not needed any more */
    containerd_call_fill(&call, &last);
    call.options.timeout_ms = CONTAINERD_LAST_TIMEOUT_MS;
    int rc = rpc_client_call(client->rpc, LEASES "Delete", &call.options, &request.base,
                             &google__protobuf__empty__descriptor, &response, &raised);
    if (rc == 0) {
        protobuf_c_message_free_unpacked(response, NULL);
        return 0;
    }
    rc = containerd_call_explain(client, &last, &raised);
    if (error)
        *error = raised;
    (void) error_wrap(error, "cannot delete the lease %s", id);
    return rc;
}

int containerd_lease_add(struct containerd_client *client, const struct containerd_scope *scope,
                         const struct digest *digest, struct error *error)
{
    AddResourceRequest request = CONTAINERD__SERVICES__LEASES__V1__ADD_RESOURCE_REQUEST__INIT;
    Containerd__Services__Leases__V1__Resource resource =
        CONTAINERD__SERVICES__LEASES__V1__RESOURCE__INIT;
    char text[DIGEST_TEXT_SIZE];
    digest_format(digest, text);
    resource.id = text;
    resource.type = (char *) "content";
    request.id = (char *) scope->lease;
    request.resource = &resource;
    int rc = containerd_call(client, scope, LEASES "AddResource", &request.base,
                             &google__protobuf__empty__descriptor, NULL, error);
    if (rc != 0)
        (void) error_wrap(error, "cannot add %s to the lease %s", text, scope->lease);
    return rc;
}
