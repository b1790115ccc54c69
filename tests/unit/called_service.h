/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>

#include "content.pb-c.h"

typedef Containerd__Services__Content__V1__WriteContentRequest write_request;
typedef Containerd__Services__Content__V1__WriteContentResponse write_response;
typedef Containerd__Services__Content__V1__ReadContentRequest read_request;
typedef Containerd__Services__Content__V1__ReadContentResponse read_response;

#define WRITE_REQUEST (&containerd__services__content__v1__write_content_request__descriptor)
#define WRITE_RESPONSE (&containerd__services__content__v1__write_content_response__descriptor)
#define READ_REQUEST (&containerd__services__content__v1__read_content_request__descriptor)
#define READ_RESPONSE (&containerd__services__content__v1__read_content_response__descriptor)

/*
 * A service for a client to call. Its answers are read_responses; the unary methods take a
 * read_request:
 *
 * /test/Header     answers with the value of the header that the digest names; offset 1 if the call
 *                  has none
 * /test/Fail       fails with the code -offset and the text that the digest has
 * /test/Size       answers with the offset and size bytes
 * /test/Hang       hangs until the client has gone
 * /test/Malformed  answers with a write_response that has a string that is none
 *
 * and the streams
 *
 * /test/Source     takes a read_request: size messages numbered by offset, one every so many
 *                  milliseconds as its own offset says
 * /test/Echo       takes write_requests: each one's offset and data come back; the offset -1 is
 *                  ERROR_EXISTS, "enough"
 * /test/Sink       takes write_requests: the offset says at the end how many there were
 */
struct called_service {
    atomic_uint cancelled; /* calls that hung, streamed or echoed when the client went */
    struct rpc_server *server;
    struct rpc_listener *listener;
};

/* Serves at the path. The service is zero, or was stopped: then it counts on. */
void called_service_start(struct called_service *service, const char *path);

/* Cuts what is open. Nothing happens if it does not serve. */
void called_service_stop(struct called_service *service);

/* Waits until so many calls were cancelled; fails the test after some 20 s. */
void called_service_await_cancelled(struct called_service *service, unsigned count);
