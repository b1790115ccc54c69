/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <protobuf-c/protobuf-c.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/uio.h>

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
    RPC_LANE_LAYER,   /* layers applied and made, for as long as they take */
    RPC_LANE_WALK,    /* measuring whole trees, one at a time */
    RPC_LANE_SEARCH,  /* lists whose filters take long */
    RPC_LANE_COUNT
};

/* What rpc_server_add was given. */
void *rpc_call_service(const struct rpc_call *call);

/*
 * The unpacked request, or the message that rpc_call_receive brought (NULL: there is
 * none, see there). It was checked: well-formed, its strings valid UTF-8 without NUL. Lives
 * in the call's arena: until the call is over, or, in a stream of messages, until the next receive.
 */
const void *rpc_call_request(const struct rpc_call *call);

/*
 * The payload field's bytes (rpc_method.payload_field) of that message, where they were received:
 * the number of segments, none of them empty, and the segments. As long-lived as the request, whose
 * own field is empty.
 */
size_t rpc_call_request_payload(const struct rpc_call *call, const struct iovec **out_segments);

/*
 * The first value of a header of the call, key in lower case; NULL if it has none. One that is
 * longer than 4 KiB, no valid UTF-8 or has control characters counts as none. As long-lived as the
 * request.
 */
const char *rpc_call_header(struct rpc_call *call, const char *key);

/* Set when the client cancelled, went away, or its deadline passed. */
const struct cancel *rpc_call_cancel(const struct rpc_call *call);

/*
 * State for later steps, released once by release (may be NULL) when the call is over: on the
 * completion thread, so release must not block, and perhaps after the client has its answer, so
 * what the client's next call could collide with (a lock) is given back before the call is ended.
 */
void rpc_call_set_state(struct rpc_call *call, void *state, void (*release)(void *state));
void *rpc_call_state(const struct rpc_call *call);

/* Memory for bytes to send. */
struct rpc_payload;
struct rpc_payload *rpc_payload_new(size_t size); /* at most size bytes */
void *rpc_payload_data(struct rpc_payload *payload);
void rpc_payload_shrink(struct rpc_payload *payload, size_t size); /* to the size that counts */
void rpc_payload_free(struct rpc_payload *payload); /* one that was not sent; NULL is allowed */

/* Runs step on the lane. */
void rpc_call_continue(struct rpc_call *call, enum rpc_lane lane, rpc_step *step);

/* Sends one message of a stream, packed before the call returns; then runs step on the lane. When
 * the client has gone nothing is sent and the step sees it from rpc_call_cancel. */
void rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message, enum rpc_lane lane,
                   rpc_step *step);

/*
 * Receives the next message of the client's stream; then runs step on the lane. When there is none
 * (rpc_call_request answers NULL) the step sees from rpc_call_cancel which end it is: not requested
 * means that the client half-closed and all its messages have been received; requested, that the
 * stream was cut (reset, connection lost, deadline, a message over the limit, server stop).
 */
void rpc_call_receive(struct rpc_call *call, enum rpc_lane lane, rpc_step *step);

/* rpc_call_send and then rpc_call_receive, as one operation: for streams in which the client waits
 * for an answer before it goes on. */
void rpc_call_exchange(struct rpc_call *call, const ProtobufCMessage *message, enum rpc_lane lane,
                       rpc_step *step);

/*
 * As rpc_call_send, for a message that ends with a field of raw bytes: head is the message without
 * it. field is the number of the bytes field. The payload is sent as it is, without a copy; it is
 * the call's from here on.
 */
void rpc_call_send_payload(struct rpc_call *call, const ProtobufCMessage *head, unsigned field,
                           struct rpc_payload *take_payload, enum rpc_lane lane, rpc_step *step);

/* The same as the last message of a stream: one batch ends the call with success. */
void rpc_call_reply_payload(struct rpc_call *call, const ProtobufCMessage *head, unsigned field,
                            struct rpc_payload *take_payload);

/* Runs step on the lane after about ms milliseconds (20 more are possible); within 20 when the call
 * is cancelled meanwhile or the server stops, which the step does not see from rpc_call_cancel
 * before the grace period is over. Holds no worker. */
void rpc_call_delay(struct rpc_call *call, unsigned ms, enum rpc_lane lane, rpc_step *step);

/* Ends the call: with the answer of a unary call, with a stream's success, or with an error. */
void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message);
void rpc_call_finish(struct rpc_call *call);
void rpc_call_fail(struct rpc_call *call, const struct error *error);
