/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/error.h"
#include "rpc/call.h"

/*
 * A gRPC server on gRPC's C core. It knows no service: services add methods, each call is one
 * object (rpc/call.h) whose steps run on lanes.
 *
 *   core's own threads    sockets and timers
 *   completion thread     one; turns every event into a queued step and never blocks
 *   lanes                 workers, one queue for each kind of work
 *   accept thread         our own listener (rpc/listener.h)
 *
 * Nothing waits for a client while it holds a worker: a stream is a chain of steps, and the next
 * message is asked for only when the last one is dealt with, which is the back pressure.
 */
struct rpc_server;

enum rpc_kind {
    RPC_UNARY,         /* one message in, rpc_call_reply or rpc_call_fail */
    RPC_SERVER_STREAM, /* one message in, rpc_call_send ... rpc_call_finish */
    RPC_BIDI           /* rpc_call_receive and rpc_call_send in turn, then rpc_call_finish */
};

struct rpc_method {
    const char *path; /* "/package.Service/Method" */
    const ProtobufCMessageDescriptor *request;
    rpc_step *step;
    enum rpc_lane lane;       /* of the first step */
    enum rpc_lane large_lane; /* instead of the lane that rpc_call_receive names, for messages of
                                 more than 256 KiB; 0 = the same */
    enum rpc_kind kind;
    /* Number of a bytes field at the top level of the request, in no oneof, that is handed out by
     * rpc_call_request_payload instead of being unpacked; 0 = none. */
    unsigned payload_field;
    /* Calls beyond so many wait inside core, unread; 0 = 256. One that rpc_call_continue moves to
     * RPC_LANE_CLONE, RPC_LANE_LAYER, RPC_LANE_WALK or RPC_LANE_SEARCH is not counted any more, up
     * to 2048 of them, so that those which wait for big work let small ones in. */
    unsigned max_live;
};

struct rpc_server_options {
    unsigned lane_threads[RPC_LANE_COUNT]; /* at most; 0 = default */
};

/* One server at a time. Signals must be blocked already: core's threads inherit the mask. */
int rpc_server_new(const struct rpc_server_options *options, struct rpc_server **out_server,
                   struct error *error);

/* Adds methods before the start; they live as long as the server. service is what rpc_call_service
 * answers. */
void rpc_server_add(struct rpc_server *server, const struct rpc_method *methods, size_t count,
                    void *service);

/* Starts to accept calls on the connections given by rpc_server_add_connection. */
int rpc_server_start(struct rpc_server *server, struct error *error);

/* Hands over a connected, non-blocking socket. Thread-safe between start and stop. */
void rpc_server_add_connection(struct rpc_server *server, int fd);

/* Lets calls finish for grace_ms, cancels the rest, and returns when the last is gone; false if
 * that took longer than cancelled_ms (-1 = no limit): then there are calls that wait for the disk,
 * everything they use must stay, and so must the server. The listener must be closed by then. */
bool rpc_server_stop(struct rpc_server *server, int grace_ms, int cancelled_ms);

void rpc_server_free(struct rpc_server *server); /* stopped, or never started; NULL is allowed */

/*
 * Ends core's own threads, after the last server and client is freed. One of them may sleep for ten
 * seconds, which nothing can shorten: false if they have not ended in time; then the process must
 * end by _exit.
 */
bool rpc_core_shut_down(int timeout_ms);
