/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <pthread.h>
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
#include "base/small_calls.h"
#include "content.pb-c.h"
#include "rpc/call.h"
#include "rpc/server.h"
#include "rpc_client.h"
#include "tests/unit/call_service.h"

typedef Containerd__Services__Content__V1__WriteContentRequest write_request;
typedef Containerd__Services__Content__V1__ReadContentRequest read_request;
typedef Containerd__Services__Content__V1__ReadContentResponse read_response;

#define READ_RESPONSE (&containerd__services__content__v1__read_content_response__descriptor)

enum { MESSAGE_MAX = 16 << 20, MANY = 1000 };

struct fixture {
    struct call_service service;
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
    call_service_add(&fixture->service, fixture->server);
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
    static const int64_t sizes[] = {0, 1, CALL_SERVICE_CHUNK, CALL_SERVICE_CHUNK + 1,
                                    64 * CALL_SERVICE_CHUNK};
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
        assert_int_equal(messages,
                         sizes[i] ? (sizes[i] + CALL_SERVICE_CHUNK - 1) / CALL_SERVICE_CHUNK : 1);
        assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_OK);
    }
}

static void a_client_may_go_while_it_is_sent_to(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 100; i++) {
        struct rpc_stream stream;
        rpc_stream_open(&stream, &fixture->client, "/test/Source", 0);
        (void) send_read(&stream, 0, 4096LL * CALL_SERVICE_CHUNK);
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

static void *run_stop(void *fixture)
{
    stop(fixture, 10000);
    return NULL;
}

/*
 * Another stream keeps the connection until all answers are read: core's client drops what it has
 * not read yet when it cannot write any more ("Broken pipe").
 */
static void delayed_calls_run_soon_when_the_server_stops(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_stream keeper;
    struct rpc_stream streams[100];
    rpc_stream_open(&keeper, &fixture->client, "/test/Echo", 0);
    for (int i = 0; i < 100; i++) {
        rpc_stream_open(&streams[i], &fixture->client, "/test/Delay", 0);
        assert_true(send_read(&streams[i], 600000, 0));
    }
    await(&fixture->service.opened, 101);
    int64_t start_ms = clock_monotonic_ms();
    pthread_t stopper;
    assert_int_equal(pthread_create(&stopper, NULL, run_stop, fixture), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(rpc_stream_close(&streams[i]), GRPC_STATUS_OK);
    assert_int_equal(atomic_load(&fixture->service.ran), 100);
    rpc_stream_half_close(&keeper);
    (void) rpc_stream_close(&keeper);
    assert_int_equal(pthread_join(stopper, NULL), 0);
    assert_true(clock_monotonic_ms() - start_ms < 5000);
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

/* The longest wait right after one of some calls: the machine may be slow. */
static int64_t longest_wait_after_a_call(struct fixture *fixture)
{
    int64_t longest = 0;
    for (int i = 0; i < 20; i++) {
        struct rpc_stream stream;
        rpc_stream_open(&stream, &fixture->client, "/test/Long", 20000);
        assert_true(send_read(&stream, 0, 0));
        assert_int_equal(rpc_stream_close(&stream), GRPC_STATUS_OK);
        int64_t begun = clock_monotonic_ms();
        small_calls_give_way();
        int64_t took = clock_monotonic_ms() - begun;
        longest = took > longest ? took : longest;
        (void) usleep(10000); /* who has waited does not at once again */
    }
    return longest;
}

static void a_small_call_is_waited_for(void **state)
{
    assert_true(longest_wait_after_a_call(*state) >= 3);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_call_is_waited_for),
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
