/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/server.h"

#include <stdlib.h>
#include <string.h>

#include <grpc/grpc_posix.h>
#include <grpc/grpc_security.h>
#include <grpc/support/time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rpc/internal.h"

#define CALL_OF_ACCEPT(tag)                                                                        \
    ((struct rpc_call *) ((char *) (tag) -offsetof(struct rpc_call, on_accepted)))

/* containerd's own limit in both directions (contract 1.1). */
#define MAX_MESSAGE_BYTES (16 << 20)
/* More calls of one method than this wait inside core, unread. */
#define DEFAULT_MAX_LIVE 256
#define ARMED_ACCEPTS 4
/* Go clients may ping a quiet connection every 10 s; core's own limit would cut them off. */
#define MIN_PING_INTERVAL_MS 5000
#define MAX_STREAMS 4096

/* A big clone leaves the CPU to any small call: it has the rest of a machine that has nothing else
 * to do all the same. */
static const struct lane_options lane_defaults[RPC_LANE_COUNT] = {
    [RPC_LANE_QUICK] = {.name = "quick", .threads = 4},
    [RPC_LANE_TXN] = {.name = "txn", .threads = 32},
    [RPC_LANE_CLONE] = {.name = "clone", .threads = 4, .nice_value = 5},
    [RPC_LANE_BULK] = {.name = "bulk", .threads = 4},
    [RPC_LANE_LAYER] = {.name = "layer", .threads = 3},
    [RPC_LANE_WALK] = {.name = "walk", .threads = 1, .nice_value = 10},
    [RPC_LANE_SEARCH] = {.name = "search", .threads = 1, .nice_value = 10},
};

static void on_accepted(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = CALL_OF_ACCEPT(tag);
    struct rpc_endpoint *endpoint = call->endpoint;
    if (endpoint) {
        (void) pthread_mutex_lock(&endpoint->lock);
        endpoint->armed--;
        endpoint->live += ok ? 1 : 0;
        (void) pthread_mutex_unlock(&endpoint->lock);
    }
    if (!ok) { /* the server stops */
        rpc_call_unref(call);
        return;
    }
    rpc_accept_arm(call->server, endpoint);
    rpc_call_begin(call);
}

static void accept_unknown(struct rpc_server *server)
{
    struct rpc_call *call = rpc_call_new(server, NULL);
    call->on_accepted.fire = on_accepted;
    rpc_tag_arm(&call->on_accepted);
    grpc_call_error rc =
        grpc_server_request_call(server->core, &call->core, &call->details, &call->metadata,
                                 server->queue, server->queue, &call->on_accepted);
    if (rc != GRPC_CALL_OK)
        rpc_call_unref(call);
}

static void accept_method(struct rpc_endpoint *endpoint)
{
    struct rpc_server *server = endpoint->server;
    struct rpc_call *call = rpc_call_new(server, endpoint);
    call->on_accepted.fire = on_accepted;
    rpc_tag_arm(&call->on_accepted);
    grpc_byte_buffer **payload = endpoint->method->kind == RPC_BIDI ? NULL : &call->received;
    grpc_call_error rc = grpc_server_request_registered_call(
        server->core, endpoint->handle, &call->core, &call->deadline, &call->metadata, payload,
        server->queue, server->queue, &call->on_accepted);
    if (rc != GRPC_CALL_OK)
        rpc_call_unref(call);
}

/* Counts one more armed accept if there is room for it. */
static bool take_room(struct rpc_endpoint *endpoint)
{
    unsigned limit = endpoint->method->max_live ? endpoint->method->max_live : DEFAULT_MAX_LIVE;
    (void) pthread_mutex_lock(&endpoint->lock);
    bool room = endpoint->armed < ARMED_ACCEPTS && endpoint->armed + endpoint->live < limit;
    if (room)
        endpoint->armed++;
    (void) pthread_mutex_unlock(&endpoint->lock);
    return room;
}

void rpc_accept_arm(struct rpc_server *server, struct rpc_endpoint *endpoint)
{
    if (atomic_load(&server->stopping))
        return;
    if (!endpoint) {
        accept_unknown(server);
        return;
    }
    while (take_room(endpoint))
        accept_method(endpoint);
}

static void on_shutdown(struct rpc_tag *tag, bool ok)
{
    (void) ok;
    struct rpc_server *server =
        (struct rpc_server *) ((char *) tag - offsetof(struct rpc_server, on_shutdown));
    (void) pthread_mutex_lock(&server->lock);
    server->shut_down = true;
    (void) pthread_cond_broadcast(&server->changed);
    (void) pthread_mutex_unlock(&server->lock);
}

static void *run_completions(void *argument)
{
    struct rpc_server *server = argument;
    for (;;) {
        grpc_event event =
            grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        if (event.type == GRPC_QUEUE_SHUTDOWN)
            return NULL;
        struct rpc_tag *tag = event.tag;
        (void) atomic_load_explicit(&tag->started, memory_order_acquire);
        tag->fire(tag, event.success != 0);
    }
}

static grpc_arg integer_arg(const char *key, int value)
{
    return (grpc_arg){.type = GRPC_ARG_INTEGER, .key = (char *) key, .value.integer = value};
}

static void create_core(struct rpc_server *server)
{
    rpc_core_init();
    grpc_arg args[] = {
        integer_arg(GRPC_ARG_MAX_RECEIVE_MESSAGE_LENGTH, MAX_MESSAGE_BYTES),
        integer_arg(GRPC_ARG_MAX_SEND_MESSAGE_LENGTH, MAX_MESSAGE_BYTES),
        integer_arg(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, MIN_PING_INTERVAL_MS),
        integer_arg(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1),
        integer_arg(GRPC_ARG_MAX_CONCURRENT_STREAMS, MAX_STREAMS),
    };
    grpc_channel_args channel_args = {.num_args = sizeof args / sizeof args[0], .args = args};
    server->core = grpc_server_create(&channel_args, NULL);
    server->queue = grpc_completion_queue_create_for_next(NULL);
    grpc_server_register_completion_queue(server->core, server->queue, NULL);
    server->credentials = grpc_insecure_server_credentials_create();
}

int rpc_server_new(const struct rpc_server_options *options, struct rpc_server **out_server,
                   struct error *error)
{
    struct rpc_server *server = mem_alloc(sizeof *server);
    (void) pthread_mutex_init(&server->lock, NULL);
    (void) pthread_cond_init(&server->changed, NULL);
    server->on_shutdown.fire = on_shutdown;
    create_core(server);
    for (int i = RPC_LANE_QUICK; i < RPC_LANE_COUNT; i++) {
        struct lane_options lane = lane_defaults[i];
        if (options->lane_threads[i])
            lane.threads = options->lane_threads[i];
        int rc = lane_new(&lane, &server->lanes[i], error);
        if (rc != 0) {
            rpc_server_free(server);
            return rc;
        }
    }
    *out_server = server;
    return 0;
}

void rpc_server_add(struct rpc_server *server, const struct rpc_method *methods, size_t count,
                    void *service)
{
    server->endpoints =
        mem_resize(server->endpoints, server->endpoint_count + count, sizeof *server->endpoints);
    for (size_t i = 0; i < count; i++) {
        struct rpc_endpoint *endpoint = mem_alloc(sizeof *endpoint);
        server->endpoints[server->endpoint_count++] = endpoint;
        *endpoint =
            (struct rpc_endpoint){.method = &methods[i], .service = service, .server = server};
        (void) pthread_mutex_init(&endpoint->lock, NULL);
        endpoint->handle = grpc_server_register_method(
            server->core, methods[i].path, NULL,
            methods[i].kind == RPC_BIDI ? GRPC_SRM_PAYLOAD_NONE
                                        : GRPC_SRM_PAYLOAD_READ_INITIAL_BYTE_BUFFER,
            0);
    }
}

int rpc_server_start(struct rpc_server *server, struct error *error)
{
    int rc = rpc_delays_new(&server->delays, error);
    if (rc == 0)
        rc =
            thread_start(&server->completion_thread, "completions", run_completions, server, error);
    if (rc != 0)
        return rc;
    server->started = true;
    grpc_server_start(server->core);
    for (size_t i = 0; i < server->endpoint_count; i++)
        rpc_accept_arm(server, server->endpoints[i]);
    rpc_accept_arm(server, NULL);
    return 0;
}

void rpc_server_add_connection(struct rpc_server *server, int fd)
{
    grpc_server_add_channel_from_fd(server->core, fd, server->credentials);
}

/* Waits until core has shut down and the last call object is gone; false at the deadline. */
static bool wait_until_gone(struct rpc_server *server, int timeout_ms)
{
    struct timespec deadline = clock_deadline(timeout_ms);
    bool gone = false;
    int rc = 0;
    (void) pthread_mutex_lock(&server->lock);
    while (!(gone = server->shut_down && server->calls == 0) && rc == 0) {
        if (timeout_ms < 0)
            (void) pthread_cond_wait(&server->changed, &server->lock);
        else
            rc = pthread_cond_timedwait(&server->changed, &server->lock, &deadline);
    }
    (void) pthread_mutex_unlock(&server->lock);
    return gone;
}

bool rpc_server_stop(struct rpc_server *server, int grace_ms, int cancelled_ms)
{
    if (!server->started)
        return true;
    atomic_store(&server->stopping, true);
    rpc_delays_hurry(server->delays);
    rpc_tag_arm(&server->on_shutdown);
    grpc_server_shutdown_and_notify(server->core, server->queue, &server->on_shutdown);
    if (!wait_until_gone(server, grace_ms)) {
        grpc_server_cancel_all_calls(server->core);
        if (!wait_until_gone(server, cancelled_ms))
            return false;
    }
    rpc_delays_free(server->delays);
    server->delays = NULL;
    for (int i = 0; i < RPC_LANE_COUNT; i++) {
        lane_free(server->lanes[i]);
        server->lanes[i] = NULL;
    }
    grpc_server_destroy(server->core);
    server->core = NULL;
    grpc_completion_queue_shutdown(server->queue);
    (void) pthread_join(server->completion_thread, NULL);
    server->started = false;
    return true;
}

/* Core wants a server shut down before it is destroyed, also one that never started. */
static void discard_core(struct rpc_server *server)
{
    if (server->core) {
        grpc_server_shutdown_and_notify(server->core, server->queue, &server->on_shutdown);
        grpc_server_cancel_all_calls(server->core);
        (void) grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL);
        grpc_server_destroy(server->core);
        grpc_completion_queue_shutdown(server->queue);
        while (grpc_completion_queue_next(server->queue, gpr_inf_future(GPR_CLOCK_REALTIME), NULL)
                   .type != GRPC_QUEUE_SHUTDOWN)
            ;
    }
    grpc_completion_queue_destroy(server->queue);
    grpc_server_credentials_release(server->credentials);
}

void rpc_server_free(struct rpc_server *server)
{
    if (!server)
        return;
    discard_core(server);
    rpc_delays_free(server->delays);
    for (int i = 0; i < RPC_LANE_COUNT; i++)
        lane_free(server->lanes[i]);
    for (size_t i = 0; i < server->endpoint_count; i++) {
        (void) pthread_mutex_destroy(&server->endpoints[i]->lock);
        free(server->endpoints[i]);
    }
    free(server->endpoints);
    (void) pthread_mutex_destroy(&server->lock);
    (void) pthread_cond_destroy(&server->changed);
    free(server);
}
