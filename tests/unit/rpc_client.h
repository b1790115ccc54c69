/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/grpc.h>
#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

/* A client on gRPC's C core for one thread; every function waits until its operation is over. */
struct rpc_client {
    grpc_channel *channel;
    grpc_completion_queue *queue;
};

/* Takes a connected, non-blocking socket. */
void rpc_client_open(struct rpc_client *client, int fd);
void rpc_client_close(struct rpc_client *client); /* cuts what is open */

struct rpc_stream {
    struct rpc_client *client;
    grpc_call *call;
    grpc_metadata_array headers;
};

/* Starts a call. Without a deadline deadline_ms is 0. */
void rpc_stream_open(struct rpc_stream *stream, struct rpc_client *client, const char *path,
                     int deadline_ms);

/* False if the stream is over. */
bool rpc_stream_send(struct rpc_stream *stream, const ProtobufCMessage *message);
bool rpc_stream_send_bytes(struct rpc_stream *stream, const void *bytes, size_t length);
void rpc_stream_half_close(struct rpc_stream *stream);

/* The next message, unpacked; NULL if there is none. Free it with protobuf-c. */
void *rpc_stream_receive(struct rpc_stream *stream, const ProtobufCMessageDescriptor *type);

void rpc_stream_cancel(struct rpc_stream *stream);

/* Reads what still comes, waits for the status and ends the stream. */
grpc_status_code rpc_stream_close(struct rpc_stream *stream);
