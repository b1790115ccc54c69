/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "rpc/client.h"
#include "tests/unit/called_service.h"
#include "tests/unit/scratch.h"

/* A client, and the service that it calls. */
struct client_fixture {
    struct scratch scratch;
    char *path; /* of the socket */
    struct called_service service;
    struct rpc_client *client;
    struct error error; /* of the last call that takes none */
};

/* Of cmocka; alone: nobody listens at the path. */
int client_fixture_set_up(void **state);
int client_fixture_set_up_alone(void **state);
int client_fixture_tear_down(void **state);

/* A unary call. The response is the caller's, to free with protobuf-c. */
int client_call_with(struct client_fixture *fixture, const char *method,
                     const struct rpc_client_call_options *options, const read_request *request,
                     read_response **out_response, struct error *error);

/* Only whether it works: an answer has the offset and so many bytes. The digest is "text". */
int client_call(struct client_fixture *fixture, const char *method, int64_t offset, int64_t bytes);

/* A stream of read_responses. */
struct rpc_client_stream *client_open(struct client_fixture *fixture, const char *method,
                                      const struct rpc_client_call_options *options);

/* Threads may call it. */
int client_send_write(struct rpc_client_stream *stream, int64_t offset, const void *data,
                      size_t length, bool last, struct error *error);
int client_send_read(struct rpc_client_stream *stream, int64_t offset, int64_t bytes);

/* 1 and the offset of the next message, or the outcome if there is none: 0 or an error code. */
int client_receive(struct client_fixture *fixture, struct rpc_client_stream *stream,
                   int64_t *out_offset);
