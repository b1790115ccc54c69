/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <grpc/grpc.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/lane.h"
#include "rpc/arena.h"
#include "rpc/call.h"
#include "rpc/delay.h"
#include "rpc/server.h"
#include "rpc/split.h"

/* For rpc/ alone. */

/*
 * What core hands back when an operation is over. started orders what the starting thread wrote
 * before what the completion thread reads: core does so itself, but not where ThreadSanitizer sees
 * it.
 */
struct rpc_tag {
    void (*fire)(struct rpc_tag *tag, bool ok);
    atomic_bool started;
};

struct rpc_endpoint {                /* a registered method */
    const struct rpc_method *method; /* set once, like all but the counters */
    void *handle;
    void *service;
    struct rpc_server *server;
    pthread_mutex_t lock;
    unsigned armed; /* under lock: accepts that wait for a call */
    unsigned live;  /* under lock: calls under way, but for those set aside */
    unsigned aside; /* under lock: calls that moved on to a lane of long work */
};

struct rpc_slices {
    grpc_slice *items;
    size_t count;
};

struct rpc_call {
    atomic_int refs;               /* the handler, and the watch for the end of the call if any */
    struct rpc_endpoint *endpoint; /* NULL: a method that nobody serves */
    struct rpc_server *server;
    grpc_call *core;
    gpr_timespec deadline;
    grpc_metadata_array metadata;
    grpc_call_details details; /* of unknown methods */
    grpc_byte_buffer *received;
    grpc_byte_buffer *sending;
    struct arena arena; /* of the request, or of the last message received */
    const void *request;
    struct rpc_slices slices; /* what the payload points into */
    struct split split;       /* the payload alone; its rest has become the request */
    bool set_aside;           /* counted as such; until the call is over */
    bool end_seen;            /* a receive brought no message */
    bool watched;             /* on_closed will tell when the call is over */
    int closed_by_cancel;     /* written by core until on_closed fires */
    struct cancel cancel;
    bool headers_sent;
    rpc_step *step;          /* the next one */
    rpc_step *after_receive; /* what the service wants to run when a message is there */
    enum rpc_lane lane;
    void *state;
    void (*release_state)(void *state);
    struct rpc_tag on_accepted, on_closed, on_received, on_sent, on_finished;
    int64_t due_ms;                /* of a delayed call */
    struct rpc_call *next_delayed; /* under the lock of the delays */
    struct lane_job job;           /* queued at most once: steps never overlap */
};

struct rpc_server {
    grpc_server *core;
    grpc_completion_queue *queue;
    grpc_server_credentials *credentials;
    struct lane *lanes[RPC_LANE_COUNT];
    struct rpc_endpoint **endpoints; /* grown before the start only */
    size_t endpoint_count;
    struct rpc_delays *delays; /* from start to stop */
    pthread_t completion_thread;
    bool started;
    atomic_bool stopping;
    struct rpc_tag on_shutdown;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned calls; /* under lock: call objects alive, armed ones included */
    bool shut_down; /* under lock */
};

/* Starts core, once. */
void rpc_core_init(void);

/* Arms accepts of the endpoint up to its limit; of unknown methods when endpoint is NULL. */
void rpc_accept_arm(struct rpc_server *server, struct rpc_endpoint *endpoint);

struct rpc_call *rpc_call_new(struct rpc_server *server, struct rpc_endpoint *endpoint);
void rpc_call_unref(struct rpc_call *call);

/* Starts the first step of an accepted call. */
void rpc_call_begin(struct rpc_call *call);

/* Turns call->received into call->request and its payload; an error is one to answer with. */
int rpc_request_unpack(struct rpc_call *call, struct error *error);

/* Forgets the request and all memory of it. */
void rpc_request_clear(struct rpc_call *call);

/* Queues the step that the call holds on its lane. */
void rpc_call_queue(struct rpc_call *call);

/* Head and payload as one message; see rpc_call_send_payload. */
grpc_byte_buffer *rpc_payload_pack(const ProtobufCMessage *head, unsigned field,
                                   struct rpc_payload *take_payload);

/* Starts a batch under the tag. */
void rpc_call_start(struct rpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag);

/* Readies a tag for an operation of core. */
void rpc_tag_arm(struct rpc_tag *tag);

/* An error on the wire, and a status other than OK as an error. */
grpc_status_code rpc_status_of(enum error_code code);
enum error_code rpc_status_code(grpc_status_code status);
