/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/call.h"

#include <assert.h>
#include <stdlib.h>

#include <grpc/byte_buffer.h>
#include <grpc/byte_buffer_reader.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include "base/log.h"
#include "base/mem.h"
#include "rpc/internal.h"
#include "rpc/wire.h"

#define CALL_OF(pointer, member)                                                                   \
    ((struct rpc_call *) ((char *) (pointer) -offsetof(struct rpc_call, member)))

void rpc_tag_arm(struct rpc_tag *tag)
{
    atomic_store_explicit(&tag->started, true, memory_order_release);
}

void rpc_call_start(struct rpc_call *call, const grpc_op *ops, size_t count, struct rpc_tag *tag)
{
    rpc_tag_arm(tag);
    grpc_call_error rc = grpc_call_start_batch(call->core, ops, count, tag, NULL);
    assert(rc == GRPC_CALL_OK); /* anything else is our bug */
    (void) rc;
}

static void run_step(struct lane_job *job)
{
    struct rpc_call *call = CALL_OF(job, job);
    call->step(call);
}

static void queue_step(struct rpc_call *call)
{
    lane_put(call->server->lanes[call->lane], &call->job);
}

static void on_closed(struct rpc_tag *tag, bool ok)
{
    (void) ok;
    struct rpc_call *call = CALL_OF(tag, on_closed);
    if (call->closed_by_cancel)
        cancel_request(&call->cancel);
    rpc_call_unref(call);
}

static void on_sent(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = CALL_OF(tag, on_sent);
    grpc_byte_buffer_destroy(call->sending);
    call->sending = NULL;
    if (!ok)
        cancel_request(&call->cancel);
    queue_step(call);
}

static void on_finished(struct rpc_tag *tag, bool ok)
{
    (void) ok;
    rpc_call_unref(CALL_OF(tag, on_finished));
}

/* Unpacks call->received into call->request; 0, or an error to answer with. */
static int unpack_request(struct rpc_call *call, struct error *error)
{
    const ProtobufCMessageDescriptor *descriptor = call->endpoint->method->request;
    grpc_byte_buffer_reader reader;
    if (!grpc_byte_buffer_reader_init(&reader, call->received))
        return error_set(error, ERROR_INVALID, "the message cannot be decompressed");
    grpc_slice bytes = grpc_byte_buffer_reader_readall(&reader);
    grpc_byte_buffer_reader_destroy(&reader);
    grpc_byte_buffer_destroy(call->received);
    call->received = NULL;
    int rc = wire_check(descriptor, GRPC_SLICE_START_PTR(bytes), GRPC_SLICE_LENGTH(bytes), error);
    if (rc == 0) {
        call->request =
            protobuf_c_message_unpack(descriptor, &call->arena.allocator, GRPC_SLICE_LENGTH(bytes),
                                      GRPC_SLICE_START_PTR(bytes));
        if (!call->request && call->arena.total > ARENA_LIMIT / 2)
            rc = error_set(error, ERROR_NO_SPACE, "the message has too many parts");
        else if (!call->request)
            rc = error_set(error, ERROR_INVALID, "the message is malformed");
    }
    grpc_slice_unref(bytes);
    return rc;
}

static void first_step(struct rpc_call *call)
{
    struct error error = {0};
    if (cancel_requested(&call->cancel))
        (void) error_set(&error, ERROR_CANCELLED, "the client has gone");
    else if (call->received)
        (void) unpack_request(call, &error);
    else if (call->endpoint->method->kind != RPC_BIDI)
        (void) error_set(&error, ERROR_INVALID, "the request has no message");
    if (error.code != 0)
        rpc_call_fail(call, &error);
    else
        call->endpoint->method->step(call);
}

static void next_message(struct rpc_call *call)
{
    struct error error = {0};
    if (call->received && unpack_request(call, &error) != 0)
        rpc_call_fail(call, &error);
    else
        call->after_receive(call);
}

static void on_received(struct rpc_tag *tag, bool ok)
{
    (void) ok; /* no message: the client half-closed, or went away */
    queue_step(CALL_OF(tag, on_received));
}

struct rpc_call *rpc_call_new(struct rpc_server *server, struct rpc_endpoint *endpoint)
{
    struct rpc_call *call = mem_alloc(sizeof *call);
    atomic_init(&call->refs, 1);
    call->server = server;
    call->endpoint = endpoint;
    grpc_metadata_array_init(&call->metadata);
    grpc_call_details_init(&call->details);
    arena_init(&call->arena);
    call->on_closed.fire = on_closed;
    call->on_received.fire = on_received;
    call->on_sent.fire = on_sent;
    call->on_finished.fire = on_finished;
    call->job.run = run_step;
    (void) pthread_mutex_lock(&server->lock);
    server->calls++;
    (void) pthread_mutex_unlock(&server->lock);
    return call;
}

static void note_gone(struct rpc_server *server)
{
    (void) pthread_mutex_lock(&server->lock);
    server->calls--;
    (void) pthread_cond_broadcast(&server->changed);
    (void) pthread_mutex_unlock(&server->lock);
}

void rpc_call_unref(struct rpc_call *call)
{
    if (atomic_fetch_sub(&call->refs, 1) != 1)
        return;
    struct rpc_server *server = call->server;
    if (call->release_state)
        call->release_state(call->state);
    if (call->received)
        grpc_byte_buffer_destroy(call->received);
    if (call->sending)
        grpc_byte_buffer_destroy(call->sending);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    arena_clear(&call->arena);
    bool was_live = call->core != NULL;
    struct rpc_endpoint *endpoint = call->endpoint;
    if (call->core)
        grpc_call_unref(call->core);
    free(call);
    if (was_live && endpoint) {
        (void) pthread_mutex_lock(&endpoint->lock);
        endpoint->live--;
        (void) pthread_mutex_unlock(&endpoint->lock);
        rpc_accept_arm(server, endpoint);
    }
    note_gone(server);
}

/* Has core tell when the client goes away, or when the call is over. */
static void watch(struct rpc_call *call)
{
    if (call->watched)
        return;
    call->watched = true;
    atomic_fetch_add(&call->refs, 1);
    grpc_op op = {.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
    op.data.recv_close_on_server.cancelled = &call->closed_by_cancel;
    rpc_call_start(call, &op, 1, &call->on_closed);
}

static void refuse_unknown(struct rpc_call *call)
{
    struct error error = {0};
    char *path = grpc_slice_to_c_string(call->details.method);
    (void) error_set(&error, ERROR_UNIMPLEMENTED, "unknown method %s", path);
    gpr_free(path);
    rpc_call_fail(call, &error);
}

void rpc_call_begin(struct rpc_call *call)
{
    if (!call->endpoint)
        refuse_unknown(call);
    else if (call->endpoint->method->lane == RPC_LANE_INSTANT)
        first_step(call);
    else
        rpc_call_continue(call, call->endpoint->method->lane, first_step);
}

void *rpc_call_service(const struct rpc_call *call)
{
    return call->endpoint->service;
}

const void *rpc_call_request(const struct rpc_call *call)
{
    return call->request;
}

const struct cancel *rpc_call_cancel(const struct rpc_call *call)
{
    return &call->cancel;
}

void rpc_call_set_state(struct rpc_call *call, void *state, void (*release)(void *state))
{
    call->state = state;
    call->release_state = release;
}

void *rpc_call_state(const struct rpc_call *call)
{
    return call->state;
}

void rpc_call_continue(struct rpc_call *call, enum rpc_lane lane, rpc_step *step)
{
    call->step = step;
    call->lane = lane;
    watch(call);
    queue_step(call);
}

static grpc_byte_buffer *pack(const ProtobufCMessage *message)
{
    grpc_slice slice = grpc_slice_malloc(protobuf_c_message_get_packed_size(message));
    (void) protobuf_c_message_pack(message, GRPC_SLICE_START_PTR(slice));
    grpc_byte_buffer *buffer = grpc_raw_byte_buffer_create(&slice, 1);
    grpc_slice_unref(slice);
    return buffer;
}

/* Adds the headers to a batch unless they were sent. Returns the number of operations added. */
static size_t add_headers(struct rpc_call *call, grpc_op *op)
{
    if (call->headers_sent)
        return 0;
    call->headers_sent = true;
    *op = (grpc_op){.op = GRPC_OP_SEND_INITIAL_METADATA};
    return 1;
}

static size_t add_message(struct rpc_call *call, grpc_op *op, const ProtobufCMessage *message)
{
    call->sending = pack(message);
    *op = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
    op->data.send_message.send_message = call->sending;
    return 1;
}

void rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message, enum rpc_lane lane,
                   rpc_step *step)
{
    grpc_op ops[2];
    call->step = step;
    call->lane = lane;
    size_t count = add_headers(call, ops);
    count += add_message(call, &ops[count], message);
    rpc_call_start(call, ops, count, &call->on_sent);
}

void rpc_call_receive(struct rpc_call *call, enum rpc_lane lane, rpc_step *step)
{
    arena_clear(&call->arena);
    call->request = NULL;
    call->after_receive = step;
    call->step = next_message;
    call->lane = lane;
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->received;
    rpc_call_start(call, &op, 1, &call->on_received);
}

/* The last batch of every call. message may be NULL; error NULL means success. */
static void end(struct rpc_call *call, const ProtobufCMessage *message, const struct error *error)
{
    grpc_op ops[4];
    size_t count = add_headers(call, ops);
    if (!call->watched) { /* one batch less for the shortest calls */
        ops[count] = (grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
        ops[count++].data.recv_close_on_server.cancelled = &call->closed_by_cancel;
    }
    if (message)
        count += add_message(call, &ops[count], message);
    grpc_slice text = grpc_slice_from_copied_string(error ? error->message : "");
    ops[count] = (grpc_op){.op = GRPC_OP_SEND_STATUS_FROM_SERVER};
    ops[count].data.send_status_from_server.status =
        error ? rpc_status_of(error->code) : GRPC_STATUS_OK;
    ops[count].data.send_status_from_server.status_details = &text;
    count++;
    rpc_call_start(call, ops, count, &call->on_finished);
    grpc_slice_unref(text);
}

void rpc_call_reply(struct rpc_call *call, const ProtobufCMessage *message)
{
    end(call, message, NULL);
}

void rpc_call_finish(struct rpc_call *call)
{
    end(call, NULL, NULL);
}

void rpc_call_fail(struct rpc_call *call, const struct error *error)
{
    end(call, NULL, error);
}
