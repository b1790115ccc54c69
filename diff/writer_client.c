/* SPDX-License-Identifier: Apache-2.0 */
#include <google/protobuf/empty.pb-c.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "content.pb-c.h"
#include "diff/call_client.h"
#include "rpc/message.h"

/*
 * Write, as a client (containerd-contract: 6.2): STAT, WRITEs and a COMMIT, each of which is
 * answered before the next. Data at offset 0 empties a ref that had some. Whenever containerd says
 * that it has the blob already, there is nothing more to write.
 */
typedef Containerd__Services__Content__V1__WriteContentRequest Request;
typedef Containerd__Services__Content__V1__WriteContentResponse Response;
typedef Containerd__Services__Content__V1__Info InfoMessage;
typedef Containerd__Services__Content__V1__InfoRequest InfoRequest;
typedef Containerd__Services__Content__V1__InfoResponse InfoResponse;
typedef Containerd__Services__Content__V1__UpdateRequest UpdateRequest;
typedef Containerd__Services__Content__V1__AbortRequest AbortRequest;

#define CONTENT "/containerd.services.content.v1.Content/"
#define TYPE(name) &containerd__services__content__v1__##name##__descriptor
#define STAT CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__STAT
#define WRITE CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__WRITE
#define COMMIT CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT

/* Data of one message. */
#define CHUNK ((size_t) 1 << 20)
/* A ref that somebody else writes is waited for so long, looking so often. */
#define BUSY_MS 10000
#define BUSY_RETRY_MS 100

struct containerd_writer {
    struct layer_sink sink;
    struct containerd_client *client;
    char *namespace_name;
    char *lease;
    struct containerd_scope scope; /* of the strings above */
    char *ref;
    struct rpc_client_stream *stream;
    uint8_t *buffer; /* CHUNK bytes, and those of them that were not sent yet */
    size_t filled;
    uint64_t offset; /* what containerd has */
    bool exists;     /* it has the blob from elsewhere */
    bool done;       /* the ref is gone */
};

/* Hands the error out, explained. */
static int fail(const struct containerd_writer *writer, struct error *raised, const char *what,
                struct error *error)
{
    int rc = containerd_call_explain(writer->client, &writer->scope, raised);
    (void) error_wrap(raised, "cannot %s %s in containerd", what, writer->ref);
    if (error)
        *error = *raised;
    return rc;
}

/* Sends a message and gets its answer, which is none if the blob is there already. */
static int exchange(struct containerd_writer *writer, const Request *request,
                    const Response **out_response, struct error *error)
{
    const ProtobufCMessage *message = NULL;
    bool last = request->action == COMMIT;
    int rc = rpc_client_stream_send(writer->stream, &request->base, last, error);
    if (rc == 0)
        rc = rpc_client_stream_receive(writer->stream, &message, error);
    if (rc == 0)
        return error_set(error, ERROR_IO, "the stream ended without an answer");
    if (rc == ERROR_EXISTS) {
        writer->exists = writer->done = true;
        return 0;
    }
    *out_response = (const Response *) message;
    return rc < 0 ? rc : 0;
}

static int try_open(struct containerd_writer *writer, struct error *error)
{
    struct containerd_call call;
    const Response *response = NULL;
    Request request = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_REQUEST__INIT;
    request.action = STAT;
    request.ref = writer->ref;
    containerd_call_fill(&call, &writer->scope);
    int rc = rpc_client_stream_open(writer->client->rpc, CONTENT "Write", &call.options,
                                    TYPE(write_content_response), &writer->stream, error);
    if (rc == 0)
        rc = exchange(writer, &request, &response, error);
    if (rc != 0)
        rpc_client_stream_clear(&writer->stream);
    return rc;
}

static int open_ref(struct containerd_writer *writer, struct error *error)
{
    const struct timespec pause = {.tv_nsec = BUSY_RETRY_MS * 1000000L};
    int64_t until_ms = clock_monotonic_ms() + BUSY_MS;
    for (;;) {
        struct error raised = {0};
        int rc = try_open(writer, &raised);
        if (rc == 0)
            return 0;
        bool again = rc == ERROR_BUSY && raised.sys == 0 && clock_monotonic_ms() < until_ms;
        if (again && cancel_requested(writer->scope.cancel)) {
            (void) error_set(&raised, ERROR_CANCELLED, "the call was cancelled");
            again = false;
        }
        if (!again)
            return fail(writer, &raised, "open", error);
        (void) nanosleep(&pause, NULL);
    }
}

/* Sends what is in the buffer. */
static int flush(struct containerd_writer *writer, struct error *error)
{
    const Response *response = NULL;
    Request request = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_REQUEST__INIT;
    if (writer->filled == 0 || writer->exists)
        return 0;
    request.action = WRITE;
    request.offset = (int64_t) writer->offset;
    request.data = (ProtobufCBinaryData){.data = writer->buffer, .len = writer->filled};
    int rc = exchange(writer, &request, &response, error);
    if (rc != 0 || !response)
        return rc;
    writer->offset += writer->filled;
    writer->filled = 0;
    if (response->offset != (int64_t) writer->offset)
        return error_set(error, ERROR_IO, "it has %lld bytes of %llu", (long long) response->offset,
                         (unsigned long long) writer->offset);
    return 0;
}

static int sink_write(struct layer_sink *sink, const void *data, size_t size, struct error *error)
{
    struct containerd_writer *writer = (struct containerd_writer *) sink;
    struct error raised = {0};
    const uint8_t *bytes = data;
    while (size > 0 && !writer->exists) {
        size_t room = CHUNK - writer->filled;
        size_t count = size < room ? size : room;
        memcpy(writer->buffer + writer->filled, bytes, count);
        writer->filled += count;
        bytes += count;
        size -= count;
        if (writer->filled == CHUNK && flush(writer, &raised) != 0)
            return fail(writer, &raised, "write", error);
    }
    return 0;
}

int containerd_writer_open(struct containerd_client *client, const struct containerd_scope *scope,
                           const char *ref, struct containerd_writer **out_writer,
                           struct error *error)
{
    owned(containerd_writer_clear) struct containerd_writer *writer = mem_alloc(sizeof *writer);
    writer->sink.write = sink_write;
    writer->client = client;
    writer->namespace_name = mem_strdup(scope->namespace_name);
    writer->lease = scope->lease ? mem_strdup(scope->lease) : NULL;
    writer->scope = (struct containerd_scope){
        .namespace_name = writer->namespace_name, .lease = writer->lease, .cancel = scope->cancel};
    writer->ref = mem_strdup(ref);
    writer->buffer = mem_alloc(CHUNK);
    int rc = open_ref(writer, error);
    if (rc != 0)
        return rc;
    *out_writer = writer;
    writer = NULL;
    return 0;
}

struct layer_sink *containerd_writer_sink(struct containerd_writer *writer)
{
    return &writer->sink;
}

/* The labels that the blob lacks. */
static void find_missing(const InfoMessage *info, const struct labels *wanted,
                         struct labels *out_missing)
{
    owned(labels_clear) struct labels present = LABELS_NULL;
    rpc_labels_read(info->labels, info->n_labels, &present);
    for (size_t i = 0; i < wanted->count; i++)
        if (!labels_get(&present, wanted->items[i].key))
            labels_set(out_missing, wanted->items[i].key, wanted->items[i].value);
}

static int read_missing(struct containerd_writer *writer, char *digest, const struct labels *wanted,
                        struct labels *out_missing, struct error *error)
{
    InfoRequest request = CONTAINERD__SERVICES__CONTENT__V1__INFO_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    request.digest = digest;
    int rc = containerd_call(writer->client, &writer->scope, CONTENT "Info", &request.base,
                             TYPE(info_response), &message, error);
    if (rc != 0)
        return rc;
    const InfoResponse *response = (const InfoResponse *) message;
    if (response->info)
        find_missing(response->info, wanted, out_missing);
    else
        rc = error_set(error, ERROR_IO, "the answer of Info is empty");
    protobuf_c_message_free_unpacked(message, NULL);
    return rc;
}

static int add_labels(struct containerd_writer *writer, char *digest, const struct labels *labels,
                      struct error *error)
{
    InfoMessage info = CONTAINERD__SERVICES__CONTENT__V1__INFO__INIT;
    Google__Protobuf__FieldMask mask = GOOGLE__PROTOBUF__FIELD_MASK__INIT;
    UpdateRequest request = CONTAINERD__SERVICES__CONTENT__V1__UPDATE_REQUEST__INIT;
    owned(rpc_labels_clear) struct rpc_labels filled = {0};
    rpc_labels_fill(&filled, labels, TYPE(info__labels_entry));
    info.digest = digest;
    info.n_labels = filled.count;
    info.labels = (Containerd__Services__Content__V1__Info__LabelsEntry **) filled.pointers;
    mask.n_paths = labels->count;
    mask.paths = mem_alloc_array(labels->count, sizeof *mask.paths);
    for (size_t i = 0; i < labels->count; i++)
        mask.paths[i] = mem_printf("labels.%s", labels->items[i].key);
    request.info = &info;
    request.update_mask = &mask;
    int rc = containerd_call(writer->client, &writer->scope, CONTENT "Update", &request.base,
                             TYPE(update_response), NULL, error);
    for (size_t i = 0; i < labels->count; i++)
        mem_free(&mask.paths[i]);
    free(mask.paths);
    return rc;
}

/* containerd had the blob: our lease keeps it from now on, if it is still there then. */
static int adopt(struct containerd_writer *writer, const struct digest *digest,
                 const struct labels *labels, struct error *error)
{
    char text[DIGEST_TEXT_SIZE];
    owned(labels_clear) struct labels missing = LABELS_NULL;
    digest_format(digest, text);
    int rc =
        writer->lease ? containerd_lease_add(writer->client, &writer->scope, digest, error) : 0;
    if (rc == 0)
        rc = read_missing(writer, text, labels, &missing, error);
    if (rc == 0 && missing.count > 0)
        rc = add_labels(writer, text, &missing, error);
    if (rc != 0)
        (void) error_wrap(error, "cannot use %s, which containerd had already", text);
    return rc;
}

static int send_commit(struct containerd_writer *writer, const struct digest *digest, uint64_t size,
                       const struct labels *labels, struct error *error)
{
    char text[DIGEST_TEXT_SIZE];
    const Response *response = NULL;
    Request request = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_REQUEST__INIT;
    owned(rpc_labels_clear) struct rpc_labels filled = {0};
    digest_format(digest, text);
    rpc_labels_fill(&filled, labels, TYPE(write_content_request__labels_entry));
    request.action = COMMIT;
    request.offset = (int64_t) writer->offset;
    request.total = (int64_t) size;
    request.expected = text;
    request.n_labels = filled.count;
    request.labels =
        (Containerd__Services__Content__V1__WriteContentRequest__LabelsEntry **) filled.pointers;
    int rc = exchange(writer, &request, &response, error);
    if (rc != 0 || !response)
        return rc;
    if (response->offset != (int64_t) size || strcmp(response->digest, text) != 0)
        return error_set(error, ERROR_IO, "it has %s of %lld bytes instead of %s of %llu bytes",
                         response->digest, (long long) response->offset, text,
                         (unsigned long long) size);
    return 0;
}

int containerd_writer_commit(struct containerd_writer *writer, const struct digest *digest,
                             uint64_t size, const struct labels *labels, struct error *error)
{
    struct error raised = {0};
    int rc = flush(writer, &raised);
    if (rc == 0 && !writer->exists)
        rc = send_commit(writer, digest, size, labels, &raised);
    if (rc != 0)
        return fail(writer, &raised, "commit", error);
    writer->done = true;
    return writer->exists ? adopt(writer, digest, labels, error) : 0;
}

/* Whether or not the work was cancelled. */
static void abort_ref(struct containerd_writer *writer)
{
    const struct containerd_scope scope = {.namespace_name = writer->namespace_name,
                                           .lease = writer->lease};
    struct containerd_call call;
    AbortRequest request = CONTAINERD__SERVICES__CONTENT__V1__ABORT_REQUEST__INIT;
    ProtobufCMessage *response = NULL;
    request.ref = writer->ref;
    containerd_call_fill(&call, &scope);
    call.options.timeout_ms = CONTAINERD_LAST_TIMEOUT_MS;
    if (rpc_client_call(writer->client->rpc, CONTENT "Abort", &call.options, &request.base,
                        &google__protobuf__empty__descriptor, &response, NULL) == 0)
        protobuf_c_message_free_unpacked(response, NULL);
}

void containerd_writer_clear(struct containerd_writer **writer_address)
{
    struct containerd_writer *writer = *writer_address;
    *writer_address = NULL;
    if (!writer)
        return;
    bool opened = writer->stream != NULL;
    rpc_client_stream_clear(&writer->stream);
    if (opened && !writer->done)
        abort_ref(writer);
    mem_free(&writer->namespace_name);
    mem_free(&writer->lease);
    mem_free(&writer->ref);
    mem_free(&writer->buffer);
    free(writer);
}
