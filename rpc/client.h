/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cancel.h"
#include "base/error.h"

/*
 * A gRPC client on a unix socket, for calls that we make to another daemon. Calls block the calling
 * thread until the answer is there, the cancel is requested (polled every 20 ms) or the time is
 * over; no lock is held meanwhile. Thread-safe: many calls may share one client.
 *
 * Errors: a status of the other side becomes the code that rpc/status.c has for it, its text ours.
 * ERROR_CANCELLED when the cancel was requested, ERROR_BUSY when the time was over, and ERROR_BUSY
 * with error.sys set when the socket cannot be reached.
 */
struct rpc_client;

struct rpc_header {
    const char *key; /* lower case */
    const char *value;
};

struct rpc_client_call_options {
    const struct rpc_header *headers;
    size_t header_count;
    const struct cancel *cancel; /* may be NULL; lives as long as the call */
    int timeout_ms;              /* of one wait for the other side; 0 = none */
};

/* Connects when the first call needs it, and again within a second after the other side was away.
 * ERROR_INVALID unless path is absolute and fits an address. */
int rpc_client_new(const char *path, struct rpc_client **out_client, struct error *error);
void rpc_client_free(struct rpc_client *client); /* no call is under way; NULL is allowed */

/* A unary call. The caller frees *out_response with protobuf_c_message_free_unpacked(…, NULL). */
int rpc_client_call(struct rpc_client *client, const char *method,
                    const struct rpc_client_call_options *options, const ProtobufCMessage *request,
                    const ProtobufCMessageDescriptor *response, ProtobufCMessage **out_response,
                    struct error *error);

/* A call with a stream in one direction or both. Belongs to one thread at a time. */
struct rpc_client_stream;

int rpc_client_stream_open(struct rpc_client *client, const char *method,
                           const struct rpc_client_call_options *options,
                           const ProtobufCMessageDescriptor *response,
                           struct rpc_client_stream **out_stream, struct error *error);

/* Sends one message; half-closes the stream behind it if it is the last. Fails with what the call
 * ended with; then messages that were not received are lost. */
int rpc_client_stream_send(struct rpc_client_stream *stream, const ProtobufCMessage *message,
                           bool last, struct error *error);

/* The next message, which lives until the next call: 1, 0 at the end with success, or the error
 * that the call ended with. */
int rpc_client_stream_receive(struct rpc_client_stream *stream,
                              const ProtobufCMessage **out_message, struct error *error);

/* Cancels the call unless it has ended, and frees it. For owned(); NULL is allowed. */
void rpc_client_stream_clear(struct rpc_client_stream **stream);
