/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/cancel.h"
#include "base/error.h"

/*
 * One RPC. A step is a function that runs on a lane, may block on the disk but never on the
 * client, and ends with exactly one of: rpc_call_reply, rpc_call_fail, rpc_call_finish (the call is
 * over and must not be touched again), or rpc_call_continue, rpc_call_send, rpc_call_receive
 * (another step follows; the call may be touched again only there). Steps of one call never
 * overlap.
 */
struct rpc_call;
typedef void rpc_step(struct rpc_call *call);

enum rpc_lane {
    RPC_LANE_INSTANT, /* the completion thread itself: for first steps that read a record or two */
    RPC_LANE_QUICK,   /* other reads of metadata */
    RPC_LANE_TXN,     /* writes of metadata, small trees */
    RPC_LANE_CLONE,   /* clones of big trees */
    RPC_LANE_BULK,    /* data in and out */
    RPC_LANE_WALK,    /* measuring whole trees, one at a time */
    RPC_LANE_COUNT
};

/* What rpc_server_add was given. */
void *rpc_call_service(const struct rpc_call *call);

/*
 * The unpacked request, or the message that rpc_call_receive brought (NULL: the client has
 * half-closed its stream). It was checked: well-formed, its strings valid UTF-8 without NUL. Lives
 * in the call's arena: until the call is over, or, in a stream of messages, until the next receive.
 */
const void *rpc_call_request(const struct rpc_call *call);

/* Set when the client cancelled, went away, or its deadline passed. */
const struct cancel *rpc_call_cancel(const struct rpc_call *call);

/* State for later steps, released by release (may be NULL) when the call is over. */
void rpc_call_set_state(struct rpc_call *call, void *state, void (*release)(void *state));
void *rpc_call_state(const struct rpc_call *call);

/* Runs step on the lane. */
void rpc_call_continue(struct rpc_call *call, enum rpc_lane lane, rpc_step *step);

/* Sends one message of a stream, packed before the call returns; then runs step on the lane. */
void rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message, enum rpc_lane lane,
                   rpc_step *step);

/* Receives the next message of the client's stream; then runs step on the lane. */
void rpc_call_receive(struct rpc_call *call, enum rpc_lane lane, rpc_step *step);

/* Ends the call: with the answer of a unary call, with a stream's success, or with an error. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message);
void rpc_call_finish(struct rpc_call *call);
void rpc_call_fail(struct rpc_call *call, const struct error *error);
