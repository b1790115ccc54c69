/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/clock.h"
#include "base/mem.h"
#include "content.pb-c.h"
#include "rpc/call.h"
#include "rpc/server.h"
#include "rpc_client.h"

typedef Containerd__Services__Content__V1__WriteContentRequest write_request;
typedef Containerd__Services__Content__V1__WriteContentResponse write_response;
typedef Containerd__Services__Content__V1__ReadContentRequest read_request;
typedef Containerd__Services__Content__V1__ReadContentResponse read_response;

#define WRITE_REQUEST (&containerd__services__content__v1__write_content_request__descriptor)
#define WRITE_RESPONSE (&containerd__services__content__v1__write_content_response__descriptor)
#define READ_REQUEST (&containerd__services__content__v1__read_content_request__descriptor)
#define READ_RESPONSE (&containerd__services__content__v1__read_content_response__descriptor)

enum {
    WRITE_DATA = 6, /* numbers of fields */
    READ_DATA = 2,
    CHUNK = 256 << 10,
    MESSAGE_MAX = 16 << 20,
    MANY = 1000
};

/* A service that counts what happens to it. */
struct service {
    atomic_uint opened;   /* states made */
    atomic_uint released; /* states released */
    atomic_uint half_closed;
    atomic_uint cut;
    atomic_uint wrong; /* ends that were told wrongly */
    atomic_bool gate;  /* lets long calls go on */
    atomic_uint ran;   /* delays that are over */
};

struct stream_state {
    struct service *service;
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

/* Echo: each message comes back with its offset and data. */

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

/* Sink: counts messages up to the end; a message says by total how many there are, and by offset
 * whether a half-close follows. The payload is unpacked. */

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

/* Source: size bytes in chunks, the last one with the status. */

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
    size_t size = stream->left < CHUNK ? (size_t) stream->left : CHUNK;
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

/* Delay: answers after offset milliseconds. */

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

/* Long: with an offset it waits for the gate on the lane with that number, a long one. */

static void long_step(struct rpc_call *call)
{
    struct service *service = rpc_call_service(call);
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
     .max_live = 2 * MANY},
    {.path = "/test/Sink",
     .kind = RPC_BIDI,
     .request = WRITE_REQUEST,
     .lane = RPC_LANE_QUICK,
     .step = sink_next,
     .max_live = 2 * MANY},
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

struct fixture {
    struct service service;
    struct rpc_server *server;
    struct rpc_client client;
    int socket; /* a second descriptor of the client's */
    bool stopped;
    bool disconnected;
};

static void connect_client(struct fixture *fixture)
{
    int fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    rpc_server_add_connection(fixture->server, fds[0]);
    fixture->socket = fcntl(fds[1], F_DUPFD_CLOEXEC, 0);
    assert_true(fixture->socket >= 0);
    rpc_client_open(&fixture->client, fds[1]);
}

static int set_up(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof *fixture);
    *state = fixture;
    struct rpc_server_options options = {0};
    if (rpc_server_new(&options, &fixture->server, NULL) != 0)
        return -1;
    rpc_server_add(fixture->server, methods, sizeof methods / sizeof methods[0], &fixture->service);
    if (rpc_server_start(fixture->server, NULL) != 0)
        return -1;
    connect_client(fixture);
    return 0;
}

static void stop(struct fixture *fixture, int grace_ms)
{
    (void) rpc_server_stop(fixture->server, grace_ms, -1);
    fixture->stopped = true;
}

static void disconnect(struct fixture *fixture)
{
    rpc_client_close(&fixture->client);
    (void) close(fixture->socket);
    fixture->disconnected = true;
}

/* Whatever happened, each state is released once. */
static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (!fixture->disconnected)
        disconnect(fixture);
    if (!fixture->stopped)
        stop(fixture, 10000);
    rpc_server_free(fixture->server);
    int left =
        (int) (atomic_load(&fixture->service.opened) - atomic_load(&fixture->service.released));
    free(fixture);
    return left;
}

/* Waits until the counter has come to the value. */
static void await(atomic_uint *counter, unsigned value)
{
    for (int i = 0; i < 20000 && atomic_load(counter) < value; i++)
        (void) usleep(1000);
    assert_int_equal(atomic_load(counter), value);
}

static bool send_write(struct rpc_stream *stream, int64_t offset, int64_t total, const void *data,
                       size_t length)
{
    write_request request = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_REQUEST__INIT;
    request.offset = offset;
    request.total = total;
    request.data.data = (uint8_t *) data;
    request.data.len = length;
    return rpc_stream_send(stream, &request.base);
}

static bool send_read(struct rpc_stream *stream, int64_t offset, int64_t size)
{
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    request.offset = offset;
    request.size = size;
    bool sent = rpc_stream_send(stream, &request.base);
    rpc_stream_half_close(stream);
    return sent;
}

static void expect_echo(struct rpc_stream *stream, int64_t offset, const void *data, size_t length)
{
    read_response *response = rpc_stream_receive(stream, READ_RESPONSE);
    assert_non_null(response);
    assert_int_equal(response->offset, offset);
    assert_int_equal(response->data.len, length);
    if (length > 0)
        assert_memory_equal(response->data.data, data, length);
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

static uint8_t *pattern(size_t length)
{
    uint8_t *bytes = mem_alloc(length);
    for (size_t i = 0; i < length; i++)
        bytes[i] = (uint8_t) (i * 31 + (i >> 8));
    return bytes;
}

static void messages_of_a_stream_are_answered_in_turn(void **state)
{
    struct fixture *fixture = *state;
    static const size_t sizes[] = {0, 1, 5, 100, 16384, 100000, 1 << 20};
    uint8_t *bytes = pattern(1 << 20);
    struct rpc_stream stream;
    rpc_stream_open(&stream, &fixture->client, "/test/Echo", 0);
    for (int i = 0; i < 70; i++) {
        size_t size = sizes[i % 7];
        assert_true(send_write(&stream, i, 0, bytes, size));
        expect_echo(&stream, i, bytes, size);
    }
    rpc_stream_half_close(&stream);
    assert_null(rpc_stream_receive(&stream, READ_RESPONSE));
    assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_OK);
    await(&fixture->service.half_closed, 1);
    assert_int_equal(atomic_load(&fixture->service.cut), 0);
    free(bytes);
}

static void a_stream_without_messages_is_half_closed(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream stream;
    rpc_stream_open(&stream, &fixture->client, "/test/Echo", 0);
    rpc_stream_half_close(&stream);
    assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_OK);
    assert_int_equal(atomic_load(&fixture->service.half_closed), 1);
}

static void a_cancelled_stream_is_cut(void **state)
{
    struct fixture *fixture = *state;
    for (unsigned i = 1; i <= 50; i++) {
        struct rpc_stream stream;
        rpc_stream_open(&stream, &fixture->client, "/test/Echo", 0);
        assert_true(send_write(&stream, i, 0, "abc", 3));
        expect_echo(&stream, i, "abc", 3);
        rpc_stream_cancel(&stream);
        assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_CANCELLED);
        await(&fixture->service.cut, i);
    }
    assert_int_equal(atomic_load(&fixture->service.half_closed), 0);
}

static void a_stream_is_cut_at_its_deadline(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream stream;
    rpc_stream_open(&stream, &fixture->client, "/test/Echo", 200);
    assert_true(send_write(&stream, 1, 0, "abc", 3));
    expect_echo(&stream, 1, "abc", 3);
    assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_DEADLINE_EXCEEDED);
    await(&fixture->service.cut, 1);
}

static void streams_are_cut_when_the_connection_is_lost(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream streams[20];
    for (int i = 0; i < 20; i++) {
        rpc_stream_open(&streams[i], &fixture->client, "/test/Echo", 0);
        assert_true(send_write(&streams[i], i, 0, "abc", 3));
        expect_echo(&streams[i], i, "abc", 3);
    }
    assert_int_equal(shutdown(fixture->socket, SHUT_RDWR), 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(rpc_stream_close(&streams[i]), GRPC_STATUS_UNAVAILABLE);
    await(&fixture->service.cut, 20);
    assert_int_equal(atomic_load(&fixture->service.half_closed), 0);
}

/* Cut streams are never taken for complete ones, whenever the cut comes. */
static void a_cut_is_never_taken_for_a_half_close(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3000; i++) {
        struct rpc_stream stream;
        int total = i % 4 + 1;
        bool half_close = i % 3 != 0;
        rpc_stream_open(&stream, &fixture->client, "/test/Sink", 0);
        for (int n = 0; n < total; n++)
            (void) send_write(&stream, half_close, total, "x", 1);
        if (i % 7 == 0)
            (void) usleep((unsigned) (i % 300));
        if (half_close)
            rpc_stream_half_close(&stream);
        if (i % 11 == 0)
            (void) usleep((unsigned) (i % 200));
        rpc_stream_cancel(&stream);
        (void) rpc_stream_close(&stream);
    }
    disconnect(fixture);
    stop(fixture, 10000);
    assert_int_equal(atomic_load(&fixture->service.wrong), 0);
    assert_true(atomic_load(&fixture->service.cut) > 0);
}

static void a_thousand_streams_are_open_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream *streams = mem_alloc_array(MANY, sizeof *streams);
    for (int i = 0; i < MANY; i++) {
        rpc_stream_open(&streams[i], &fixture->client, "/test/Echo", 0);
        assert_true(send_write(&streams[i], i, 0, &i, sizeof i));
    }
    await(&fixture->service.opened, MANY);
    for (int round = 0; round < 2; round++)
        for (int i = 0; i < MANY; i++) {
            expect_echo(&streams[i], i, &i, sizeof i);
            assert_true(send_write(&streams[i], i, 0, &i, sizeof i));
        }
    for (int i = 0; i < MANY; i++) {
        if (i % 2)
            rpc_stream_half_close(&streams[i]);
        else
            rpc_stream_cancel(&streams[i]);
        int status = rpc_stream_close(&streams[i]);
        assert_int_equal(status, i % 2 ? GRPC_STATUS_OK : GRPC_STATUS_CANCELLED);
    }
    await(&fixture->service.half_closed, MANY / 2);
    await(&fixture->service.cut, MANY / 2);
    free(streams);
}

static void a_message_may_have_16_mib_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *bytes = pattern(MESSAGE_MAX);
    struct rpc_stream stream;
    rpc_stream_open(&stream, &fixture->client, "/test/Echo", 0);
    assert_true(send_write(&stream, 1, 0, bytes, MESSAGE_MAX - 64));
    expect_echo(&stream, 1, bytes, MESSAGE_MAX - 64);
    (void) send_write(&stream, 2, 0, bytes, MESSAGE_MAX);
    assert_null(rpc_stream_receive(&stream, READ_RESPONSE));
    assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_RESOURCE_EXHAUSTED);
    await(&fixture->service.cut, 1);
    free(bytes);
}

static void malformed_messages_end_the_stream(void **state)
{
    struct fixture *fixture = *state;
    static const char *const paths[] = {"/test/Echo", "/test/Sink"};
    for (int i = 0; i < 2; i++) {
        struct rpc_stream stream;
        rpc_stream_open(&stream, &fixture->client, paths[i], 0);
        (void) rpc_stream_send_bytes(&stream, "\x32\x05xx", 4);
        assert_null(rpc_stream_receive(&stream, READ_RESPONSE));
        assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_INVALID_ARGUMENT);
    }
}

static void the_last_payload_comes_with_the_status(void **state)
{
    struct fixture *fixture = *state;
    static const int64_t sizes[] = {0, 1, CHUNK, CHUNK + 1, 64 * CHUNK};
    for (int i = 0; i < 5; i++) {
        struct rpc_stream stream;
        rpc_stream_open(&stream, &fixture->client, "/test/Source", 0);
        assert_true(send_read(&stream, 0, sizes[i]));
        int64_t received = 0;
        int messages = 0;
        for (read_response *response; (response = rpc_stream_receive(&stream, READ_RESPONSE));
             messages++) {
            assert_int_equal(response->offset, received);
            received += (int64_t) response->data.len;
            protobuf_c_message_free_unpacked(&response->base, NULL);
        }
        assert_int_equal(received, sizes[i]);
        assert_int_equal(messages, sizes[i] ? (sizes[i] + CHUNK - 1) / CHUNK : 1);
        assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_OK);
    }
}

static void a_client_may_go_while_it_is_sent_to(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++) {
        struct rpc_stream stream;
        rpc_stream_open(&stream, &fixture->client, "/test/Source", 0);
        (void) send_read(&stream, 0, 4096LL * CHUNK);
        read_response *response = rpc_stream_receive(&stream, READ_RESPONSE);
        assert_non_null(response);
        protobuf_c_message_free_unpacked(&response->base, NULL);
        rpc_stream_cancel(&stream);
        (void) rpc_stream_close(&stream);
    }
    await(&fixture->service.cut, 100);
}

static void server_stop_cuts_open_streams(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream streams[100];
    for (int i = 0; i < 100; i++) {
        rpc_stream_open(&streams[i], &fixture->client, i % 2 ? "/test/Echo" : "/test/Sink", 0);
        (void) send_write(&streams[i], i, 0, "abc", 3);
    }
    await(&fixture->service.opened, 100);
    int64_t start_ms = clock_monotonic_ms();
    stop(fixture, 50);
    assert_true(clock_monotonic_ms() - start_ms < 5000);
    for (int i = 0; i < 100; i++)
        assert_int_not_equal(rpc_stream_close(&streams[i]), GRPC_STATUS_OK);
    assert_int_equal(atomic_load(&fixture->service.half_closed), 0);
    assert_int_equal(atomic_load(&fixture->service.cut), 100);
}

static void a_delayed_call_runs_when_its_time_has_come(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream streams[10];
    int64_t start_ms = clock_monotonic_ms();
    for (int i = 0; i < 10; i++) {
        rpc_stream_open(&streams[i], &fixture->client, "/test/Delay", 0);
        assert_true(send_read(&streams[i], 30 * (10 - i), 0));
    }
    for (int i = 9; i >= 0; i--) {
        assert_int_equal(rpc_stream_close(&streams[i]), GRPC_STATUS_OK);
        assert_true(clock_monotonic_ms() - start_ms >= 30 * (10 - i));
    }
    assert_true(clock_monotonic_ms() - start_ms < 5000);
}

static void a_delayed_call_runs_soon_when_it_is_cancelled(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream streams[2];
    for (int i = 0; i < 2; i++) {
        rpc_stream_open(&streams[i], &fixture->client, "/test/Delay", i ? 100 : 0);
        assert_true(send_read(&streams[i], 600000, 0));
    }
    await(&fixture->service.opened, 2);
    rpc_stream_cancel(&streams[0]);
    assert_int_equal(rpc_stream_close(&streams[0]), GRPC_STATUS_CANCELLED);
    assert_int_equal(rpc_stream_close(&streams[1]), GRPC_STATUS_DEADLINE_EXCEEDED);
    await(&fixture->service.ran, 2);
}

static void delayed_calls_run_soon_when_the_server_stops(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream streams[100];
    for (int i = 0; i < 100; i++) {
        rpc_stream_open(&streams[i], &fixture->client, "/test/Delay", 0);
        assert_true(send_read(&streams[i], 600000, 0));
    }
    await(&fixture->service.opened, 100);
    int64_t start_ms = clock_monotonic_ms();
    stop(fixture, 10000);
    assert_true(clock_monotonic_ms() - start_ms < 5000);
    assert_int_equal(atomic_load(&fixture->service.ran), 100);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rpc_stream_close(&streams[i]), GRPC_STATUS_OK);
}

static void long_calls_leave_room_for_short_ones(void **state)
{
    static const enum rpc_lane lanes[] = {RPC_LANE_CLONE, RPC_LANE_LAYER, RPC_LANE_WALK,
                                          RPC_LANE_SEARCH};
    struct fixture *fixture = *state;
    struct rpc_stream streams[100];
    for (int i = 0; i < 100; i++) {
        rpc_stream_open(&streams[i], &fixture->client, "/test/Long", 0);
        assert_true(send_read(&streams[i], lanes[i % 4], 0));
    }
    for (int i = 0; i < 20; i++) {
        struct rpc_stream stream;
        rpc_stream_open(&stream, &fixture->client, "/test/Long", 20000);
        assert_true(send_read(&stream, 0, 0));
        assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_OK);
    }
    atomic_store(&fixture->service.gate, true);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rpc_stream_close(&streams[i]), GRPC_STATUS_OK);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(messages_of_a_stream_are_answered_in_turn),
        TEST(a_stream_without_messages_is_half_closed),
        TEST(a_cancelled_stream_is_cut),
        TEST(a_stream_is_cut_at_its_deadline),
        TEST(streams_are_cut_when_the_connection_is_lost),
        TEST(a_cut_is_never_taken_for_a_half_close),
        TEST(a_thousand_streams_are_open_at_once),
        TEST(a_message_may_have_16_mib_and_no_more),
        TEST(malformed_messages_end_the_stream),
        TEST(the_last_payload_comes_with_the_status),
        TEST(a_client_may_go_while_it_is_sent_to),
        TEST(server_stop_cuts_open_streams),
        TEST(a_delayed_call_runs_when_its_time_has_come),
        TEST(a_delayed_call_runs_soon_when_it_is_cancelled),
        TEST(delayed_calls_run_soon_when_the_server_stops),
        TEST(long_calls_leave_room_for_short_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
