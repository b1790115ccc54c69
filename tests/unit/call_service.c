/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/call_service.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cancel.h"
#include "base/mem.h"
#include "content.pb-c.h"
#include "rpc/call.h"

typedef Containerd__Services__Content__V1__WriteContentRequest write_request;
typedef Containerd__Services__Content__V1__ReadContentRequest read_request;
typedef Containerd__Services__Content__V1__ReadContentResponse read_response;

#define WRITE_REQUEST (&containerd__services__content__v1__write_content_request__descriptor)
#define READ_REQUEST (&containerd__services__content__v1__read_content_request__descriptor)

enum {
    WRITE_DATA = 6, /* numbers of fields */
    READ_DATA = 2,
    MAX_LIVE = 2000
};

struct stream_state {
    struct call_service *service;
    int64_t received;
    int64_t left; /* to send */
};

static void release_state(void *state)
{
    struct stream_state *stream = state;
    atomic_fetch_add(&stream->service->released, 1);
    free(stream);
}

static struct stream_state *state_of(struct rpc_call *call)
{
    struct stream_state *stream = rpc_call_state(call);
    if (stream)
        return stream;
    stream = mem_alloc(sizeof *stream);
    stream->service = rpc_call_service(call);
    atomic_fetch_add(&stream->service->opened, 1);
    rpc_call_set_state(call, stream, release_state);
    return stream;
}

/* Counts and answers the end of a client's stream. */
static void end_stream(struct rpc_call *call)
{
    struct stream_state *stream = state_of(call);
    if (!cancel_requested(rpc_call_cancel(call))) {
        atomic_fetch_add(&stream->service->half_closed, 1);
        rpc_call_finish(call);
        return;
    }
    atomic_fetch_add(&stream->service->cut, 1);
    struct error error = {0};
    (void) error_set(&error, ERROR_CANCELLED, "cut");
    rpc_call_fail(call, &error);
}

/* Echo */

static void echo_received(struct rpc_call *call);

static void echo_next(struct rpc_call *call)
{
    (void) state_of(call);
    rpc_call_receive(call, RPC_LANE_BULK, echo_received);
}

static void echo_received(struct rpc_call *call)
{
    const write_request *request = rpc_call_request(call);
    if (!request) {
        end_stream(call);
        return;
    }
    const struct iovec *segments = NULL;
    size_t count = rpc_call_request_payload(call, &segments);
    size_t size = 0;
    for (size_t i = 0; i < count; i++)
        size += segments[i].iov_len;
    struct rpc_payload *payload = rpc_payload_new(size + 10);
    uint8_t *at = rpc_payload_data(payload);
    for (size_t i = 0; i < count; i++) {
        memcpy(at, segments[i].iov_base, segments[i].iov_len);
        at += segments[i].iov_len;
    }
    rpc_payload_shrink(payload, size);
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    response.offset = request->offset + (int64_t) request->data.len; /* its data is empty */
    rpc_call_send_payload(call, &response.base, READ_DATA, payload, RPC_LANE_BULK, echo_next);
}

/* Sink */

static void sink_received(struct rpc_call *call);

static void sink_next(struct rpc_call *call)
{
    (void) state_of(call);
    rpc_call_receive(call, RPC_LANE_QUICK, sink_received);
}

static void sink_received(struct rpc_call *call)
{
    struct stream_state *stream = state_of(call);
    const write_request *request = rpc_call_request(call);
    if (request) {
        stream->received++;
        stream->left = request->offset ? request->total - stream->received : -1;
        sink_next(call);
        return;
    }
    if (!cancel_requested(rpc_call_cancel(call)) && (stream->received == 0 || stream->left != 0))
        atomic_fetch_add(&stream->service->wrong, 1);
    end_stream(call);
}

/* Source */

static void source_next(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    struct stream_state *stream = rpc_call_state(call);
    if (!stream) {
        stream = state_of(call);
        stream->left = request->size;
    }
    if (cancel_requested(rpc_call_cancel(call))) {
        end_stream(call);
        return;
    }
    size_t size = stream->left < CALL_SERVICE_CHUNK ? (size_t) stream->left : CALL_SERVICE_CHUNK;
    struct rpc_payload *payload = rpc_payload_new(size);
    memset(rpc_payload_data(payload), 'x', size);
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    response.offset = request->size - stream->left;
    stream->left -= (int64_t) size;
    if (stream->left > 0)
        rpc_call_send_payload(call, &response.base, READ_DATA, payload, RPC_LANE_BULK, source_next);
    else
        rpc_call_reply_payload(call, &response.base, READ_DATA, payload);
}

/* Delay */

static void delay_over(struct rpc_call *call)
{
    struct stream_state *stream = state_of(call);
    atomic_fetch_add(&stream->service->ran, 1);
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    rpc_call_reply(call, &response.base);
}

static void delay(struct rpc_call *call)
{
    (void) state_of(call);
    const read_request *request = rpc_call_request(call);
    rpc_call_delay(call, (unsigned) request->offset, RPC_LANE_QUICK, delay_over);
}

/* Long */

static void long_step(struct rpc_call *call)
{
    struct call_service *service = rpc_call_service(call);
    while (!atomic_load(&service->gate) && !cancel_requested(rpc_call_cancel(call)))
        (void) usleep(1000);
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    rpc_call_reply(call, &response.base);
}

static void long_or_short(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    if (request->offset)
        rpc_call_continue(call, (enum rpc_lane) request->offset, long_step);
    else
        rpc_call_reply(call, &response.base);
}

static const struct rpc_method methods[] = {
    {.path = "/test/Echo",
     .kind = RPC_BIDI,
     .request = WRITE_REQUEST,
     .lane = RPC_LANE_INSTANT,
     .step = echo_next,
     .payload_field = WRITE_DATA,
     .max_live = MAX_LIVE},
    {.path = "/test/Sink",
     .kind = RPC_BIDI,
     .request = WRITE_REQUEST,
     .lane = RPC_LANE_QUICK,
     .step = sink_next,
     .max_live = MAX_LIVE},
    {.path = "/test/Source",
     .kind = RPC_SERVER_STREAM,
     .request = READ_REQUEST,
     .lane = RPC_LANE_BULK,
     .step = source_next},
    {.path = "/test/Delay",
     .kind = RPC_UNARY,
     .request = READ_REQUEST,
     .lane = RPC_LANE_INSTANT,
     .step = delay},
    {.path = "/test/Long",
     .kind = RPC_UNARY,
     .request = READ_REQUEST,
     .lane = RPC_LANE_TXN,
     .step = long_or_short,
     .max_live = 8},
};

void call_service_add(struct call_service *service, struct rpc_server *server)
{
    rpc_server_add(server, methods, sizeof methods / sizeof methods[0], service);
}
