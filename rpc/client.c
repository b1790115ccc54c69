/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/client.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "rpc/address.h"
#include "rpc/internal.h"
#include "rpc/wire.h"

/* containerd's own limit in both directions (contract 1.1). */
#define MAX_MESSAGE_BYTES (16 << 20)
/* Of an answer's headers, which error texts count to. */
#define MAX_METADATA_BYTES (64 << 10)
#define FIRST_RECONNECT_MS 100
#define LAST_RECONNECT_MS 500
/* The cancel and the time are looked at so often. */
#define POLL_MS 20

struct rpc_client { /* set once */
    char *path;
    struct sockaddr_un address;
    grpc_channel *channel;
};

struct rpc_client_stream {
    struct rpc_client *client;
    const ProtobufCMessageDescriptor *response;
    const struct cancel *cancel;
    int timeout_ms;
    grpc_call *core;
    grpc_completion_queue *queue; /* of this call alone, so that its thread wakes for it alone */
    grpc_metadata_array headers;  /* of the answer */
    bool begun;                   /* headers are a tag on the queue until the call is over */
    ProtobufCMessage *message;    /* the last one received */
    bool ended;
    struct error outcome; /* once ended; code 0 = success */
};

static grpc_arg integer_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *) key, .value.integer = value};
}

/* The path as an URI; free it with mem_free. */
static char *make_target(const char *path)
{
    static const char plain[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/._-";
    size_t room = strlen("unix:") + 3 * strlen(path) + 1;
    char *target = mem_alloc(room);
    size_t length = (size_t) snprintf(target, room, "unix:");
    for (; *path; path++)
        length += (size_t) snprintf(target + length, room - length,
                                    strchr(plain, *path) ? "%c" : "%%%02X", (unsigned char) *path);
    return target;
}

static grpc_channel *make_channel(const char *path)
{
    grpc_arg args[] = {
        integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MAX_MESSAGE_BYTES),
        integer_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, MAX_MESSAGE_BYTES),
        integer_arg(GRPC_ARG_MAX_METADATA_SIZE, MAX_METADATA_BYTES),
        integer_arg(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, FIRST_RECONNECT_MS),
        integer_arg(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, LAST_RECONNECT_MS),
        integer_arg(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1),
    };
    const grpc_channel_args channel_args = {.num_args = sizeof args / sizeof args[0], .args = args};
    owned(mem_free) char *target = make_target(path);
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    grpc_channel *channel = grpc_channel_create(target, credentials, &channel_args);
    grpc_channel_credentials_release(credentials);
    return channel;
}

int rpc_client_new(const char *path, struct rpc_client **out_client, struct error *error)
{
    struct sockaddr_un address;
    int rc = rpc_address_make(path, &address, error);
    if (rc != 0)
        return rc;
    rpc_core_init();
    struct rpc_client *client = mem_alloc(sizeof *client);
    client->path = mem_strdup(path);
    client->address = address;
    client->channel = make_channel(path);
    *out_client = client;
    return 0;
}

void rpc_client_free(struct rpc_client *client)
{
    if (!client)
        return;
    grpc_channel_destroy(client->channel);
    mem_free(&client->path);
    free(client);
}

/* Ends the call when it is not wanted any more or takes too long. */
static void check_patience(struct rpc_client_stream *stream, int64_t until_ms)
{
    if (stream->outcome.code != 0)
        return;
    if (cancel_requested(stream->cancel))
        (void) error_set(&stream->outcome, ERROR_CANCELLED, "the call was cancelled");
    else if (until_ms && clock_monotonic_ms() >= until_ms)
        (void) error_set(&stream->outcome, ERROR_BUSY, "%s has not answered for %d ms",
                         stream->client->path, stream->timeout_ms);
    if (stream->outcome.code != 0)
        (void) grpc_call_cancel(stream->core, NULL);
}

/* Waits for the tag, which core always gives back once the call is over; false if it is. */
static bool await(struct rpc_client_stream *stream, void *tag)
{
    const gpr_timespec pause = gpr_time_from_millis(POLL_MS, GPR_TIMESPAN);
    int64_t until_ms = stream->timeout_ms > 0 ? clock_monotonic_ms() + stream->timeout_ms : 0;
    for (;;) {
        check_patience(stream, until_ms);
        grpc_event event = grpc_completion_queue_pluck(
            stream->queue, tag, gpr_time_add(gpr_now(GPR_CLOCK_MONOTONIC), pause), NULL);
        if (event.type == GRPC_OP_COMPLETE)
            return event.success != 0;
    }
}

static void start(struct rpc_client_stream *stream, const grpc_op *ops, size_t count, void *tag)
{
    grpc_call_error rc = grpc_call_start_batch(stream->core, ops, count, tag, NULL);
    assert(rc == GRPC_CALL_OK); /* anything else is our bug */
    (void) rc;
}

static bool run(struct rpc_client_stream *stream, const grpc_op *ops, size_t count)
{
    start(stream, ops, count, stream);
    return await(stream, stream);
}

/* What the call ended with, when core says that it cannot be made or went wrong on the way. */
static void explain_unavailable(struct rpc_client_stream *stream)
{
    const struct rpc_client *client = stream->client;
    if (grpc_channel_check_connectivity_state(client->channel, 0) == GRPC_CHANNEL_READY)
        return; /* so the other side said it */
    if (rpc_address_probe(&client->address) == 0) {
        (void) error_wrap(&stream->outcome, "the connection to %s was lost", client->path);
        return;
    }
    int sys = errno;
    char text[128];
    (void) error_set(&stream->outcome, ERROR_BUSY, "cannot reach %s: %s", client->path,
                     error_number_text(sys, text, sizeof text));
    stream->outcome.sys = sys;
}

static void note_status(struct rpc_client_stream *stream, grpc_status_code status, grpc_slice text)
{
    int length = (int) GRPC_SLICE_LENGTH(text);
    if (length > 0)
        (void) error_set(&stream->outcome, rpc_status_code(status), "%.*s", length,
                         (const char *) GRPC_SLICE_START_PTR(text));
    else
        (void) error_set(&stream->outcome, rpc_status_code(status), "%s answered with status %d",
                         stream->client->path, (int) status);
    if (status == GRPC_STATUS_UNAVAILABLE)
        explain_unavailable(stream);
}

static grpc_byte_buffer *receive(struct rpc_client_stream *stream)
{
    grpc_byte_buffer *buffer = NULL;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &buffer;
    (void) run(stream, &op, 1);
    return buffer;
}

/* Learns how the call ended; it has no more messages. */
static void end(struct rpc_client_stream *stream)
{
    grpc_metadata_array trailers;
    grpc_metadata_array_init(&trailers);
    grpc_status_code status = GRPC_STATUS_UNKNOWN;
    grpc_slice text = grpc_empty_slice();
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &trailers;
    op.data.recv_status_on_client.status = &status;
    op.data.recv_status_on_client.status_details = &text;
    (void) run(stream, &op, 1);
    stream->ended = true;
    if (stream->outcome.code == 0 && status != GRPC_STATUS_OK) /* else it was ended here */
        note_status(stream, status, text);
    grpc_slice_unref(text);
    grpc_metadata_array_destroy(&trailers);
}

/* Ends the call with an error of ours. */
static void give_up(struct rpc_client_stream *stream, const struct error *error)
{
    stream->outcome = *error;
    stream->ended = true;
    (void) grpc_call_cancel(stream->core, NULL);
}

static int report(const struct rpc_client_stream *stream, struct error *error)
{
    if (error && stream->outcome.code != 0)
        *error = stream->outcome;
    return stream->outcome.code;
}

static int check_headers(const struct rpc_client_call_options *options, struct error *error)
{
    for (size_t i = 0; i < options->header_count; i++) {
        const struct rpc_header *header = &options->headers[i];
        if (!grpc_header_key_is_legal(grpc_slice_from_static_string(header->key)) ||
            !grpc_header_nonbin_value_is_legal(grpc_slice_from_static_string(header->value)))
            return error_set(error, ERROR_INVALID, "%s: %s cannot be sent as a header", header->key,
                             header->value);
    }
    return 0;
}

/* Core copies the headers. The answer's come before its first message, and are not waited for. */
static void send_headers(struct rpc_client_stream *stream,
                         const struct rpc_client_call_options *options)
{
    grpc_metadata *headers = mem_alloc_array(options->header_count, sizeof *headers);
    for (size_t i = 0; i < options->header_count; i++) {
        headers[i].key = grpc_slice_from_copied_string(options->headers[i].key);
        headers[i].value = grpc_slice_from_copied_string(options->headers[i].value);
    }
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_INITIAL_METADATA}, {.op = GRPC_OP_RECV_INITIAL_METADATA}};
    ops[0].data.send_initial_metadata.count = options->header_count;
    ops[0].data.send_initial_metadata.metadata = headers;
    ops[1].data.recv_initial_metadata.recv_initial_metadata = &stream->headers;
    start(stream, ops, 2, &stream->headers);
    stream->begun = true;
    for (size_t i = 0; i < options->header_count; i++) {
        grpc_slice_unref(headers[i].key);
        grpc_slice_unref(headers[i].value);
    }
    free(headers);
}

int rpc_client_stream_open(struct rpc_client *client, const char *method,
                           const struct rpc_client_call_options *options,
                           const ProtobufCMessageDescriptor *response,
                           struct rpc_client_stream **out_stream, struct error *error)
{
    int rc = check_headers(options, error);
    if (rc != 0)
        return rc;
    struct rpc_client_stream *stream = mem_alloc(sizeof *stream);
    stream->client = client;
    stream->response = response;
    stream->cancel = options->cancel;
    stream->timeout_ms = options->timeout_ms;
    grpc_metadata_array_init(&stream->headers);
    stream->queue = grpc_completion_queue_create_for_pluck(NULL);
    grpc_slice path = grpc_slice_from_copied_string(method);
    stream->core =
        grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS, stream->queue,
                                 path, NULL, gpr_inf_future(GPR_CLOCK_MONOTONIC), NULL);
    grpc_slice_unref(path);
    send_headers(stream, options);
    *out_stream = stream;
    return 0;
}

static grpc_byte_buffer *pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    (void) protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* A send failed: what is there to receive is dropped, since core tells the end only behind it. */
static void drop_messages(struct rpc_client_stream *stream)
{
    for (grpc_byte_buffer *buffer; (buffer = receive(stream));)
        grpc_byte_buffer_destroy(buffer);
}

int rpc_client_stream_send(struct rpc_client_stream *stream, const ProtobufCMessage *message,
                           bool last, struct error *error)
{
    if (stream->ended && stream->outcome.code != 0)
        return report(stream, error);
    grpc_byte_buffer *buffer = pack(message);
    grpc_op ops[2] = {{.op = GRPC_OP_SEND_MESSAGE}, {.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT}};
    ops[0].data.send_message.send_message = buffer;
    bool sent = run(stream, ops, last ? 2 : 1);
    grpc_byte_buffer_destroy(buffer);
    if (sent && stream->outcome.code == 0)
        return 0;
    if (!stream->ended) {
        drop_messages(stream);
        end(stream);
    }
    if (stream->outcome.code == 0)
        (void) error_set(&stream->outcome, ERROR_PRECONDITION,
                         "%s ended the call before it had all messages", stream->client->path);
    return report(stream, error);
}

static ProtobufCMessage *unpack(const ProtobufCMessageDescriptor *descriptor,
                                grpc_byte_buffer *buffer, struct error *error)
{
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, buffer)) {
        (void) error_set(error, ERROR_IO, "the answer cannot be decompressed");
        return NULL;
    }
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    ProtobufCMessage *message = NULL;
    if (wire_check(descriptor, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), error) == 0) {
        message = protobuf_c_message_unpack(descriptor, NULL, GRPC_SLICE_LENGTH(bytes),
                                            GRPC_SLICE_START_PTR(bytes));
        if (!message)
            (void) error_set(error, ERROR_IO, "the answer is malformed");
    }
    grpc_slice_unref(bytes);
    return message;
}

static void drop_message(struct rpc_client_stream *stream)
{
    if (stream->message)
        protobuf_c_message_free_unpacked(stream->message, NULL);
    stream->message = NULL;
}

int rpc_client_stream_receive(struct rpc_client_stream *stream,
                              const ProtobufCMessage **out_message, struct error *error)
{
    struct error wrong = {0};
    drop_message(stream);
    if (stream->ended)
        return report(stream, error);
    grpc_byte_buffer *buffer = receive(stream);
    if (!buffer || stream->outcome.code != 0) {
        if (buffer)
            grpc_byte_buffer_destroy(buffer);
        end(stream);
        return report(stream, error);
    }
    stream->message = unpack(stream->response, buffer, &wrong);
    grpc_byte_buffer_destroy(buffer);
    if (!stream->message) {
        wrong.code = ERROR_IO; /* it is not our caller's request that is wrong */
        (void) error_wrap(&wrong, "%s", stream->client->path);
        give_up(stream, &wrong);
        return report(stream, error);
    }
    *out_message = stream->message;
    return 1;
}

void rpc_client_stream_clear(struct rpc_client_stream **stream_address)
{
    struct rpc_client_stream *stream = *stream_address;
    *stream_address = NULL;
    if (!stream)
        return;
    if (!stream->ended)
        (void) grpc_call_cancel(stream->core, NULL);
    if (stream->begun)
        (void) await(stream, &stream->headers);
    drop_message(stream);
    grpc_metadata_array_destroy(&stream->headers);
    grpc_call_unref(stream->core);
    grpc_completion_queue_shutdown(stream->queue);
    grpc_completion_queue_destroy(stream->queue);
    free(stream);
}

int rpc_client_call(struct rpc_client *client, const char *method,
                    const struct rpc_client_call_options *options, const ProtobufCMessage *request,
                    const ProtobufCMessageDescriptor *response, ProtobufCMessage **out_response,
                    struct error *error)
{
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream = NULL;
    const ProtobufCMessage *borrowed = NULL;
    int rc = rpc_client_stream_open(client, method, options, response, &stream, error);
    if (rc != 0)
        return rc;
    rc = rpc_client_stream_send(stream, request, true, error);
    if (rc == 0)
        rc = rpc_client_stream_receive(stream, &borrowed, error);
    if (rc == 0)
        return error_set(error, ERROR_IO, "%s ended %s without an answer", client->path, method);
    if (rc < 0)
        return rc;
    ProtobufCMessage *answer = stream->message; /* it is ours now, and the status comes behind it */
    stream->message = NULL;
    rc = rpc_client_stream_receive(stream, &borrowed, error);
    if (rc > 0)
        rc = error_set(error, ERROR_IO, "%s answered %s twice", client->path, method);
    if (rc == 0)
        *out_response = answer;
    else
        protobuf_c_message_free_unpacked(answer, NULL);
    return rc;
}
