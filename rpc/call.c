/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/call.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <grpc/byte_buffer.h>
#include <grpc/slice.h>
#include <grpc/support/alloc.h>

#include "base/mem.h"
#include "base/small_calls.h"
#include "base/utf8.h"
#include "rpc/internal.h"

/* So many calls of a method may be on their way through the long lanes. */
#define MAX_ASIDE 2048

#define CALL_OF(pointer, member)                                                                   \
    ((struct rpc_call *) ((char *) (pointer) -offsetof(struct rpc_call, member)))

#define MAX_HEADER_BYTES 4096

/* Messages beyond this take the method's large_lane. */
#define LARGE_BYTES ((size_t) 256 << 10)

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
    bool small = call->lane == RPC_LANE_TXN && call->endpoint->method->kind == RPC_UNARY;
    if (small)
        small_calls_begin();
    call->step(call); /* after which it may be gone */
    if (small)
        small_calls_end();
}

void rpc_call_queue(struct rpc_call *call)
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

static void drop_sent(struct rpc_call *call)
{
    if (call->sending)
        grpc_byte_buffer_destroy(call->sending);
    call->sending = NULL;
}

static void on_sent(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = CALL_OF(tag, on_sent);
    drop_sent(call);
    if (!ok)
        cancel_request(&call->cancel);
    rpc_call_queue(call);
}

static void on_finished(struct rpc_tag *tag, bool ok)
{
    (void) ok;
    rpc_call_unref(CALL_OF(tag, on_finished));
}

static void first_step(struct rpc_call *call)
{
    struct error error = {0};
    if (cancel_requested(&call->cancel))
        (void) error_set(&error, ERROR_CANCELLED, "the client has gone");
    else if (call->received)
        (void) rpc_request_unpack(call, &error);
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
    if (call->received && rpc_request_unpack(call, &error) != 0)
        rpc_call_fail(call, &error);
    else
        call->after_receive(call);
}

/* Data goes where it does not keep small messages waiting. */
static void choose_lane(struct rpc_call *call)
{
    enum rpc_lane large = call->endpoint->method->large_lane;
    if (large && call->received && grpc_byte_buffer_length(call->received) > LARGE_BYTES)
        call->lane = large;
}

static void start_receiving(struct rpc_call *call)
{
    grpc_op op = {.op = GRPC_OP_RECV_MESSAGE};
    op.data.recv_message.recv_message = &call->received;
    rpc_call_start(call, &op, 1, &call->on_received);
}

/*
 * No message: the client half-closed, or was cut off, and the step must know which, since core
 * drops messages of a stream that was cut after its half-close. It says so itself unless the cut
 * came before the call was watched; then on_closed is on its way through core right behind this
 * event, and has fired when another receive is back.
 */
static void on_received(struct rpc_tag *tag, bool ok)
{
    struct rpc_call *call = CALL_OF(tag, on_received);
    drop_sent(call);
    choose_lane(call);
    if (!ok || (!call->received && grpc_call_failed_before_recv_message(call->core) != 0))
        cancel_request(&call->cancel);
    if (!call->received && !call->end_seen && !cancel_requested(&call->cancel)) {
        call->end_seen = true;
        start_receiving(call);
        return;
    }
    rpc_call_queue(call);
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
    rpc_request_clear(call);
    drop_sent(call);
    grpc_metadata_array_destroy(&call->metadata);
    grpc_call_details_destroy(&call->details);
    bool was_live = call->core != NULL;
    struct rpc_endpoint *endpoint = call->endpoint;
    bool was_aside = call->set_aside;
    if (call->core)
        grpc_call_unref(call->core);
    free(call);
    if (was_live && endpoint) {
        (void) pthread_mutex_lock(&endpoint->lock);
        endpoint->live -= was_aside ? 0 : 1;
        endpoint->aside -= was_aside ? 1 : 0;
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

size_t rpc_call_request_payload(const struct rpc_call *call, const struct iovec **out_segments)
{
    *out_segments = call->split.payload;
    return call->split.payload_count;
}

static bool is_text(const uint8_t *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (bytes[i] < 0x20 || bytes[i] == 0x7f)
            return false;
    return utf8_valid((const char *) bytes, length);
}

const char *rpc_call_header(struct rpc_call *call, const char *key)
{
    const grpc_metadata *found = NULL;
    for (size_t i = 0; i < call->metadata.count && !found; i++)
        if (grpc_slice_str_cmp(call->metadata.metadata[i].key, key) == 0)
            found = &call->metadata.metadata[i];
    if (!found)
        return NULL;
    const uint8_t *bytes = GRPC_SLICE_START_PTR(found->value);
    size_t length = GRPC_SLICE_LENGTH(found->value);
    if (length > MAX_HEADER_BYTES || !is_text(bytes, length))
        return NULL;
    char *value = arena_alloc(&call->arena, length + 1);
    if (value)
        memcpy(value, bytes, length);
    return value;
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

static bool is_long(enum rpc_lane lane)
{
    return lane == RPC_LANE_CLONE || lane == RPC_LANE_LAYER || lane == RPC_LANE_WALK ||
           lane == RPC_LANE_SEARCH;
}

/* Lets another call of the method in instead of this one, which will take long. */
static void set_aside(struct rpc_call *call)
{
    struct rpc_endpoint *endpoint = call->endpoint;
    (void) pthread_mutex_lock(&endpoint->lock);
    call->set_aside = endpoint->aside < MAX_ASIDE;
    if (call->set_aside) {
        endpoint->aside++;
        endpoint->live--;
    }
    (void) pthread_mutex_unlock(&endpoint->lock);
    if (call->set_aside)
        rpc_accept_arm(call->server, endpoint);
}

void rpc_call_continue(struct rpc_call *call, enum rpc_lane lane, rpc_step *step)
{
    if (is_long(lane) && !call->set_aside)
        set_aside(call);
    call->step = step;
    call->lane = lane;
    watch(call);
    rpc_call_queue(call);
}

void rpc_call_delay(struct rpc_call *call, unsigned ms, enum rpc_lane lane, rpc_step *step)
{
    call->step = step;
    call->lane = lane;
    watch(call);
    rpc_delays_put(call->server->delays, call, ms);
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

static size_t add_message(struct rpc_call *call, grpc_op *op, grpc_byte_buffer *take_message)
{
    call->sending = take_message;
    *op = (grpc_op){.op = GRPC_OP_SEND_MESSAGE};
    op->data.send_message.send_message = call->sending;
    return 1;
}

static void send_buffer(struct rpc_call *call, grpc_byte_buffer *take_message, enum rpc_lane lane,
                        rpc_step *step)
{
    grpc_op ops[2];
    call->step = step;
    call->lane = lane;
    watch(call);
    size_t count = add_headers(call, ops);
    count += add_message(call, &ops[count], take_message);
    rpc_call_start(call, ops, count, &call->on_sent);
}

void rpc_call_send(struct rpc_call *call, const ProtobufCMessage *message, enum rpc_lane lane,
                   rpc_step *step)
{
    send_buffer(call, pack(message), lane, step);
}

void rpc_call_send_payload(struct rpc_call *call, const ProtobufCMessage *head, unsigned field,
                           struct rpc_payload *take_payload, enum rpc_lane lane, rpc_step *step)
{
    send_buffer(call, rpc_payload_pack(head, field, take_payload), lane, step);
}

/* After send operations, or alone. */
static void receive(struct rpc_call *call, grpc_op *ops, size_t count, enum rpc_lane lane,
                    rpc_step *step)
{
    rpc_request_clear(call);
    call->after_receive = step;
    call->step = next_message;
    call->lane = lane;
    watch(call);
    ops[count] = (grpc_op){.op = GRPC_OP_RECV_MESSAGE};
    ops[count].data.recv_message.recv_message = &call->received;
    rpc_call_start(call, ops, count + 1, &call->on_received);
}

void rpc_call_receive(struct rpc_call *call, enum rpc_lane lane, rpc_step *step)
{
    grpc_op op;
    receive(call, &op, 0, lane, step);
}

void rpc_call_exchange(struct rpc_call *call, const ProtobufCMessage *message, enum rpc_lane lane,
                       rpc_step *step)
{
    grpc_op ops[3];
    size_t count = add_headers(call, ops);
    count += add_message(call, &ops[count], pack(message));
    receive(call, ops, count, lane, step);
}

/* The last batch of every call. take_message may be NULL; error NULL means success. */
static void end(struct rpc_call *call, grpc_byte_buffer *take_message, const struct error *error)
{
    grpc_op ops[4];
    size_t count = add_headers(call, ops);
    if (!call->watched) { /* one batch less for the shortest calls */
        ops[count] = (grpc_op){.op = GRPC_OP_RECV_CLOSE_ON_SERVER};
        ops[count++].data.recv_close_on_server.cancelled = &call->closed_by_cancel;
    }
    if (take_message)
        count += add_message(call, &ops[count], take_message);
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
    end(call, pack(message), NULL);
}

void rpc_call_reply_payload(struct rpc_call *call, const ProtobufCMessage *head, unsigned field,
                            struct rpc_payload *take_payload)
{
    end(call, rpc_payload_pack(head, field, take_payload), NULL);
}

void rpc_call_finish(struct rpc_call *call)
{
    end(call, NULL, NULL);
}

void rpc_call_fail(struct rpc_call *call, const struct error *error)
{
    end(call, NULL, error);
}
