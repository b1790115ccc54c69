/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "rpc/call.h"
#include "rpc/listener.h"
#include "rpc/server.h"
#include "tests/unit/called_service.h"

static void answer(struct rpc_call *call, int64_t offset, const void *data, size_t size)
{
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    response.offset = offset;
    response.data = (ProtobufCBinaryData){.data = (uint8_t *) data, .len = size};
    rpc_call_reply(call, &response.base);
}

static void header(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    const char *value = rpc_call_header(call, request->digest);
    answer(call, value ? 0 : 1, value, value ? strlen(value) : 0);
}

static void fail_as_asked(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    struct error error = {0};
    (void) error_set(&error, (enum error_code) - request->offset, "%s", request->digest);
    rpc_call_fail(call, &error);
}

static void size(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    uint8_t *data = mem_alloc((size_t) request->size);
    memset(data, 'x', (size_t) request->size);
    answer(call, request->offset, data, (size_t) request->size);
    free(data);
}

static void hang_over(struct rpc_call *call)
{
    struct called_service *service = rpc_call_service(call);
    struct error error = {0};
    if (cancel_requested(rpc_call_cancel(call)))
        atomic_fetch_add(&service->cancelled, 1);
    (void) error_set(&error, ERROR_CANCELLED, "over");
    rpc_call_fail(call, &error);
}

static void hang(struct rpc_call *call)
{
    rpc_call_delay(call, 600000, RPC_LANE_QUICK, hang_over);
}

static void malformed(struct rpc_call *call)
{
    write_response response = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_RESPONSE__INIT;
    response.digest = (char *) "\xff";
    rpc_call_reply(call, &response.base);
}

struct progress {
    int64_t sent;
};

static void source_next(struct rpc_call *call);

static void source_send(struct rpc_call *call)
{
    struct progress *source = rpc_call_state(call);
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    response.offset = source->sent++;
    rpc_call_send(call, &response.base, RPC_LANE_BULK, source_next);
}

static void source_next(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    struct progress *source = rpc_call_state(call);
    if (!source) {
        source = mem_alloc(sizeof *source);
        rpc_call_set_state(call, source, free);
    }
    if (cancel_requested(rpc_call_cancel(call)))
        hang_over(call);
    else if (source->sent == request->size)
        rpc_call_finish(call);
    else if (request->offset)
        rpc_call_delay(call, (unsigned) request->offset, RPC_LANE_BULK, source_send);
    else
        source_send(call);
}

static void echo_received(struct rpc_call *call);

static void echo_next(struct rpc_call *call)
{
    rpc_call_receive(call, RPC_LANE_BULK, echo_received);
}

static void echo_received(struct rpc_call *call)
{
    const write_request *request = rpc_call_request(call);
    struct error error = {0};
    if (!request && cancel_requested(rpc_call_cancel(call))) {
        hang_over(call);
    } else if (!request) {
        rpc_call_finish(call);
    } else if (request->offset < 0) {
        (void) error_set(&error, ERROR_EXISTS, "enough");
        rpc_call_fail(call, &error);
    } else {
        read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
        response.offset = request->offset;
        response.data = request->data;
        rpc_call_exchange(call, &response.base, RPC_LANE_BULK, echo_received);
    }
}

static void sink_received(struct rpc_call *call)
{
    struct progress *count = rpc_call_state(call);
    if (!count) {
        count = mem_alloc(sizeof *count);
        rpc_call_set_state(call, count, free);
    }
    if (rpc_call_request(call)) {
        count->sent++;
        rpc_call_receive(call, RPC_LANE_BULK, sink_received);
    } else {
        answer(call, count->sent, NULL, 0);
    }
}

static void sink(struct rpc_call *call)
{
    rpc_call_receive(call, RPC_LANE_BULK, sink_received);
}

#define UNARY(name, function)                                                                      \
    {                                                                                              \
        .path = "/test/" name, .request = READ_REQUEST, .step = (function), .lane = RPC_LANE_QUICK \
    }

static const struct rpc_method methods[] = {
    UNARY("Header", header),
    UNARY("Fail", fail_as_asked),
    UNARY("Size", size),
    UNARY("Hang", hang),
    UNARY("Malformed", malformed),
    {.path = "/test/Source",
     .kind = RPC_SERVER_STREAM,
     .request = READ_REQUEST,
     .lane = RPC_LANE_BULK,
     .step = source_next},
    {.path = "/test/Echo",
     .kind = RPC_BIDI,
     .request = WRITE_REQUEST,
     .lane = RPC_LANE_BULK,
     .step = echo_next},
    {.path = "/test/Sink",
     .kind = RPC_BIDI,
     .request = WRITE_REQUEST,
     .lane = RPC_LANE_BULK,
     .step = sink},
};

void called_service_start(struct called_service *service, const char *path)
{
    struct rpc_server_options options = {0};
    assert_int_equal(rpc_server_new(&options, &service->server, NULL), 0);
    rpc_server_add(service->server, methods, sizeof methods / sizeof methods[0], service);
    assert_int_equal(rpc_server_start(service->server, NULL), 0);
    assert_int_equal(rpc_listener_open(path, service->server, &service->listener, NULL), 0);
}

void called_service_stop(struct called_service *service)
{
    rpc_listener_close(service->listener);
    service->listener = NULL;
    if (service->server)
        (void) rpc_server_stop(service->server, 0, -1);
    rpc_server_free(service->server);
    service->server = NULL;
}

void called_service_await_cancelled(struct called_service *service, unsigned count)
{
    for (int i = 0; i < 20000 && atomic_load(&service->cancelled) < count; i++)
        (void) usleep(1000);
    assert_true(atomic_load(&service->cancelled) >= count);
}
