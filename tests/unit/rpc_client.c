/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc_client.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/slice.h>
#include <grpc/support/time.h>

#include "base/mem.h"

enum { PATIENCE_S = 60 };

static gpr_timespec after_ms(int ms)
{
    return gpr_time_add(gpr_now(GPR_CLOCK_REALTIME), gpr_time_from_millis(ms, GPR_TIMESPAN));
}

void rpc_client_open(struct rpc_client *client, int fd)
{
    grpc_init();
    grpc_arg unlimited = {.type = GRPC_ARG_INTEGER,
                          .key = (char *) GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH,
                          .value.integer = -1};
    grpc_channel_args args = {.num_args = 1, .args = &unlimited};
    grpc_channel_credentials *credentials = grpc_insecure_credentials_create();
    client->channel = grpc_channel_create_from_fd("test", fd, credentials, &args);
    grpc_channel_credentials_release(credentials);
    client->queue = grpc_completion_queue_create_for_pluck(NULL);
}

void rpc_client_close(struct rpc_client *client)
{
    grpc_channel_destroy(client->channel);
    grpc_completion_queue_shutdown(client->queue);
    grpc_completion_queue_destroy(client->queue);
    grpc_shutdown();
}

static bool await(struct rpc_client *client, void *tag)
{
    grpc_event event =
        grpc_completion_queue_pluck(client->queue, tag, after_ms(PATIENCE_S * 1000), NULL);
    assert(event.type == GRPC_OP_COMPLETE);
    return event.success != 0;
}

static void start(struct rpc_stream *stream, const grpc_op *op, void *tag)
{
    grpc_call_error rc = grpc_call_start_batch(stream->call, op, 1, tag, NULL);
    assert(rc == GRPC_CALL_OK);
    (void) rc;
}

static bool run(struct rpc_stream *stream, const grpc_op *op)
{
    start(stream, op, stream);
    return await(stream->client, stream);
}

void rpc_stream_open(struct rpc_stream *stream, struct rpc_client *client, const char *path,
                     int deadline_ms)
{
    *stream = (struct rpc_stream){.client = client};
    gpr_timespec deadline =
        deadline_ms > 0 ? after_ms(deadline_ms) : gpr_inf_future(GPR_CLOCK_REALTIME);
    grpc_slice method = grpc_slice_from_copied_string(path);
    stream->call = grpc_channel_create_call(client->channel, NULL, GRPC_PROPAGATE_DEFAULTS,
                                            client->queue, method, NULL, deadline, NULL);
    grpc_slice_unref(method);
    grpc_metadata_array_init(&stream->headers);
    grpc_op op = {.op = GRPC_OP_RECV_INITIAL_METADATA};
    op.data.recv_initial_metadata.recv_initial_metadata = &stream->headers;
    start(stream, &op, &stream->headers);
    (void) run(stream, &(grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA});
}

bool rpc_stream_send_bytes(struct rpc_stream *stream, const void *bytes, size_t length)
{
    grpc_slice slice = grpc_slice_from_copied_buffer(bytes, length);
    grpc_op op = {.op = GRPC_OP_SEND_MESSAGE};
    op.data.send_message.send_message = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    bool sent = run(stream, &op);
    grpc_byte_buffer_destroy(op.data.send_message.send_message);
    return sent;
}

bool rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message)
{
    size_t length = protobuf_c_message_get_packed_size(message);
    uint8_t *bytes = mem_alloc(length);
    (void) protobuf_c_message_pack(message, bytes);
    bool sent = rpc_stream_send_bytes(stream, bytes, length);
    free(bytes);
    return sent;
}

void rpc_stream_half_close(struct rpc_stream *stream)
{
    (void) run(stream, &(grpc_op){.op = GRPC_OP_SEND_CLOSE_FROM_CLIENT});
}

static grpc_byte_buffer *receive(struct rpc_stream *stream)
{
    grpc_byte_buffer *buffer = NULL;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &buffer;
    (void) run(stream, &op);
    return buffer;
}

void *rpc_stream_receive(struct rpc_stream *stream, const ProtobufCMessageDescriptor *type)
{
    grpc_byte_buffer *buffer = receive(stream);
    if (!buffer)
        return NULL;
    grpc_byte_buffer_reader reader;
    int rc = grpc_byte_buffer_reader_init(&reader, buffer);
    assert(rc);
    (void) rc;
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(buffer);
    void *message = protobuf_c_message_unpack(type, NULL, GRPC_SLICE_LENGTH(bytes),
                                              GRPC_SLICE_START_PTR(bytes));
    grpc_slice_unref(bytes);
    assert(message);
    return message;
}

void rpc_stream_cancel(struct rpc_stream *stream)
{
    (void) grpc_call_cancel(stream->call, NULL);
}

grpc_status_code rpc_stream_close(struct rpc_stream *stream)
{
    /* core holds the status back while there are messages */
    for (grpc_byte_buffer *buffer; (buffer = receive(stream));)
        grpc_byte_buffer_destroy(buffer);
    grpc_metadata_array trailers;
    grpc_metadata_array_init(&trailers);
    grpc_status_code status = GRPC_STATUS_UNKNOWN;
    grpc_slice text = grpc_empty_slice();
    grpc_op op = {.op = GRPC_OP_RECV_STATUS_ON_CLIENT};
    op.data.recv_status_on_client.trailing_metadata = &trailers;
    op.data.recv_status_on_client.status = &status;
    op.data.recv_status_on_client.status_details = &text;
    (void) run(stream, &op);
    (void) await(stream->client, &stream->headers);
    grpc_slice_unref(text);
    grpc_metadata_array_destroy(&trailers);
    grpc_metadata_array_destroy(&stream->headers);
    grpc_call_unref(stream->call);
    return status;
}
