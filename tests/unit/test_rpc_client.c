/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "tests/unit/client_fixture.h"
#include "tests/unit/raw_peer.h"

enum { CODES = 13, MANY = 5000, THREADS = 32, CALLS = 50, MIB = 1 << 20 };

static const struct rpc_client_call_options no_options;

static void a_unary_call_is_answered(void **state)
{
    struct client_fixture *fixture = *state;
    for (int i = 0; i < 500; i++)
        if (client_call(fixture, "/test/Size", i, i % 3) != 0)
            fail_msg("%s", fixture->error.message);
}

/* The service sees the value of the key; NULL: none. */
static void expect_header(struct client_fixture *fixture, const struct rpc_header *headers,
                          size_t count, const char *key, const char *value)
{
    const struct rpc_client_call_options options = {.headers = headers, .header_count = count};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    request.digest = (char *) key;
    assert_int_equal(client_call_with(fixture, "/test/Header", &options, &request, &response, NULL),
                     0);
    assert_int_equal(response->offset, value ? 0 : 1);
    assert_int_equal(response->data.len, value ? strlen(value) : 0);
    if (value)
        assert_memory_equal(response->data.data, value, strlen(value));
    protobuf_c_message_free_unpacked(&response->base, NULL);
}

static void headers_reach_the_service(void **state)
{
    static const struct rpc_header headers[] = {{"containerd-namespace", "first"},
                                                {"containerd-namespace", "second"},
                                                {"containerd-lease", ""}};
    expect_header(*state, headers, 3, "containerd-namespace", "first");
    expect_header(*state, headers, 3, "containerd-lease", "");
    expect_header(*state, headers, 3, "containerd-nam", NULL);
    expect_header(*state, headers, 3, "other", NULL);
}

static void a_header_has_4_kib_and_no_more(void **state)
{
    char *value = mem_alloc(4097 + 1);
    memset(value, 'x', 4097);
    expect_header(*state, &(struct rpc_header){"key", value + 1}, 1, "key", value + 1);
    expect_header(*state, &(struct rpc_header){"key", value}, 1, "key", NULL);
    free(value);
}

/* True if the service was told the value, which it sends back then. */
static bool is_told(struct client_fixture *fixture, const char *value)
{
    const struct raw_peer_call header_call = {
        .method = "/test/Header", .key = "key", .value = value, .message = "\12\3key", .size = 5};
    char answer[4096];
    size_t size = raw_peer_call(fixture->path, &header_call, answer, sizeof answer);
    return memmem(answer, size, value, strlen(value)) != NULL;
}

static void headers_that_are_no_text_count_as_none(void **state)
{
    assert_true(is_told(*state, "plain"));
    assert_true(is_told(*state, "umlaut \xc3\xa4"));
    assert_false(is_told(*state, "line\nfeed"));
    assert_false(is_told(*state, "escape \x1b[0m"));
    assert_false(is_told(*state, "delete \x7f"));
    assert_false(is_told(*state, "cut \xc3"));
}

static void a_header_that_cannot_be_sent_is_refused(void **state)
{
    struct client_fixture *fixture = *state;
    static const struct rpc_header wrong[] = {
        {"Upper", "x"}, {"sp ace", "x"}, {"key", "line\nfeed"}, {"key", "umlaut \xc3\xa4"}};
    for (int i = 0; i < 4; i++) {
        const struct rpc_client_call_options options = {.headers = &wrong[i], .header_count = 1};
        read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
        read_response *response = NULL;
        assert_int_equal(
            client_call_with(fixture, "/test/Header", &options, &request, &response, NULL),
            ERROR_INVALID);
    }
}

static void every_error_comes_back_as_what_it_was(void **state)
{
    struct client_fixture *fixture = *state;
    for (int code = -1; code >= -CODES; code--) {
        assert_int_equal(client_call(fixture, "/test/Fail", -code, 0),
                         code == ERROR_INTERNAL ? ERROR_IO : code);
        assert_string_equal(fixture->error.message, "text");
        assert_int_equal(fixture->error.sys, 0);
    }
    assert_int_equal(client_call(fixture, "/test/Nothing", 0, 0), ERROR_UNIMPLEMENTED);
    assert_string_equal(fixture->error.message, "unknown method /test/Nothing");
}

static void error_texts_may_be_long_and_of_any_language(void **state)
{
    struct client_fixture *fixture = *state;
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    struct error error = {0};
    char *text = mem_alloc(1000);
    for (int i = 0; i < 333; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    request.offset = 1;
    request.digest = text;
    assert_int_equal(
        client_call_with(fixture, "/test/Fail", &no_options, &request, &response, &error),
        ERROR_INVALID);
    assert_string_equal(error.message, text);
    free(text);
}

static void malformed_answers_are_refused(void **state)
{
    struct client_fixture *fixture = *state;
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    assert_int_equal(rpc_client_call(fixture->client, "/test/Malformed", &no_options, &request.base,
                                     WRITE_RESPONSE, &message, &fixture->error),
                     ERROR_IO);
    assert_null(message);
    assert_non_null(strstr(fixture->error.message, "UTF-8"));
    assert_int_equal(client_call(fixture, "/test/Size", 1, 1), 0);
}

static void *request_cancel(void *cancel)
{
    (void) usleep(100000);
    cancel_request(cancel);
    return NULL;
}

static void a_cancel_ends_a_call_that_hangs(void **state)
{
    struct client_fixture *fixture = *state;
    struct cancel cancel = {0};
    const struct rpc_client_call_options options = {.cancel = &cancel};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    pthread_t thread;
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(pthread_create(&thread, NULL, request_cancel, &cancel), 0);
    assert_int_equal(client_call_with(fixture, "/test/Hang", &options, &request, &response, NULL),
                     ERROR_CANCELLED);
    assert_in_range(clock_monotonic_ms() - start_ms, 90, 5000);
    (void) pthread_join(thread, NULL);
    called_service_await_cancelled(&fixture->service, 1);
}

static void a_call_that_was_cancelled_before_ends_soon(void **state)
{
    struct client_fixture *fixture = *state;
    struct cancel cancel = {0};
    const struct rpc_client_call_options options = {.cancel = &cancel};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    cancel_request(&cancel);
    for (int i = 0; i < 20; i++)
        assert_int_equal(
            client_call_with(fixture, "/test/Hang", &options, &request, &response, NULL),
            ERROR_CANCELLED);
}

static void a_call_that_takes_too_long_is_given_up(void **state)
{
    struct client_fixture *fixture = *state;
    const struct rpc_client_call_options options = {.timeout_ms = 200};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(
        client_call_with(fixture, "/test/Hang", &options, &request, &response, &fixture->error),
        ERROR_BUSY);
    assert_in_range(clock_monotonic_ms() - start_ms, 190, 5000);
    assert_non_null(strstr(fixture->error.message, "has not answered for 200 ms"));
    assert_int_equal(fixture->error.sys, 0);
    called_service_await_cancelled(&fixture->service, 1);
}

static void the_time_starts_anew_with_every_message(void **state)
{
    struct client_fixture *fixture = *state;
    const struct rpc_client_call_options options = {.timeout_ms = 1000};
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        client_open(fixture, "/test/Source", &options);
    int64_t start_ms = clock_monotonic_ms();
    int64_t offset = -1;
    assert_int_equal(client_send_read(stream, 100, 15), 0);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(client_receive(fixture, stream, &offset), 1);
        assert_int_equal(offset, i);
    }
    assert_int_equal(client_receive(fixture, stream, &offset), 0);
    assert_true(clock_monotonic_ms() - start_ms > 1200);
}

static void a_stream_brings_all_messages_in_order(void **state)
{
    struct client_fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        client_open(fixture, "/test/Source", &no_options);
    int64_t offset = -1;
    assert_int_equal(client_send_read(stream, 0, MANY), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(client_receive(fixture, stream, &offset), 1);
        assert_int_equal(offset, i);
    }
    for (int i = 0; i < 3; i++) /* and says so again */
        assert_int_equal(client_receive(fixture, stream, &offset), 0);
}

static void a_stream_takes_all_messages(void **state)
{
    struct client_fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        client_open(fixture, "/test/Sink", &no_options);
    int64_t offset = -1;
    for (int i = 1; i <= MANY; i++)
        assert_int_equal(client_send_write(stream, i, "x", 1, i == MANY, NULL), 0);
    assert_int_equal(client_receive(fixture, stream, &offset), 1);
    assert_int_equal(offset, MANY);
    assert_int_equal(client_receive(fixture, stream, &offset), 0);
}

static void messages_go_both_ways_in_turn(void **state)
{
    struct client_fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        client_open(fixture, "/test/Echo", &no_options);
    char *data = mem_alloc(MIB);
    for (int i = 1; i <= MANY; i++) {
        size_t length = i % 100 ? (size_t) i % 50 : MIB;
        memset(data, 'a' + i % 26, length);
        const ProtobufCMessage *message = NULL;
        assert_int_equal(client_send_write(stream, i, data, length, i == MANY, NULL), 0);
        assert_int_equal(rpc_client_stream_receive(stream, &message, NULL), 1);
        const read_response *response = (const read_response *) message;
        assert_int_equal(response->offset, i);
        assert_int_equal(response->data.len, length);
        if (length > 0)
            assert_memory_equal(response->data.data, data, length);
    }
    int64_t offset = -1;
    assert_int_equal(client_receive(fixture, stream, &offset), 0);
    assert_int_equal(client_send_write(stream, 1, "x", 1, false, &fixture->error),
                     ERROR_PRECONDITION);
    free(data);
}

static void a_stream_ends_with_the_error_of_the_other_side(void **state)
{
    struct client_fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        client_open(fixture, "/test/Echo", &no_options);
    int64_t offset = -1;
    assert_int_equal(client_send_write(stream, 1, "x", 1, false, NULL), 0);
    assert_int_equal(client_receive(fixture, stream, &offset), 1);
    assert_int_equal(client_send_write(stream, -1, "x", 1, false, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_receive(fixture, stream, &offset), ERROR_EXISTS);
        assert_string_equal(fixture->error.message, "enough");
    }
    fixture->error = (struct error){0};
    assert_int_equal(client_send_write(stream, 2, "x", 1, false, &fixture->error), ERROR_EXISTS);
    assert_string_equal(fixture->error.message, "enough");
}

static void a_send_fails_with_the_error_of_the_other_side(void **state)
{
    struct client_fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        client_open(fixture, "/test/Echo", &no_options);
    char *data = mem_alloc(MIB);
    int rc = client_send_write(stream, -1, "x", 1, false, NULL);
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = client_send_write(stream, 1, data, MIB, false, &fixture->error);
    assert_int_equal(rc, ERROR_EXISTS);
    assert_string_equal(fixture->error.message, "enough");
    free(data);
}

static void clearing_a_stream_cancels_the_call(void **state)
{
    struct client_fixture *fixture = *state;
    for (int i = 0; i < 200; i++) {
        owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
            client_open(fixture, i % 2 ? "/test/Echo" : "/test/Source", &no_options);
        int64_t offset = -1;
        if (i % 4 >= 2)
            continue;
        assert_int_equal(i % 2 ? client_send_write(stream, 1, "x", 1, false, NULL)
                               : client_send_read(stream, 0, INT64_MAX),
                         0);
        assert_int_equal(client_receive(fixture, stream, &offset), 1);
    }
    called_service_await_cancelled(&fixture->service, 100);
    assert_int_equal(client_call(fixture, "/test/Size", 1, 1), 0);
}

static void a_stream_ends_when_the_server_goes_away(void **state)
{
    struct client_fixture *fixture = *state;
    struct rpc_client_stream *streams[20];
    int64_t offset = -1;
    for (int i = 0; i < 20; i++) {
        streams[i] = client_open(fixture, i % 2 ? "/test/Echo" : "/test/Source", &no_options);
        assert_int_equal(i % 2 ? client_send_write(streams[i], 1, "x", 1, false, NULL)
                               : client_send_read(streams[i], 20, 100000),
                         0);
        assert_int_equal(client_receive(fixture, streams[i], &offset), 1);
    }
    called_service_stop(&fixture->service);
    for (int i = 0; i < 20; i++) {
        int rc = 0;
        while ((rc = client_receive(fixture, streams[i], &offset)) == 1)
            ;
        /* what the service says when it is cut, or core in its place */
        assert_true(rc == ERROR_BUSY || rc == ERROR_CANCELLED);
        assert_true(fixture->error.message[0] != '\0');
        rpc_client_stream_clear(&streams[i]);
    }
}

static void a_server_is_found_again(void **state)
{
    struct client_fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(client_call(fixture, "/test/Size", i, 1), 0);
        called_service_stop(&fixture->service);
        for (int n = 0; n < 5; n++) {
            assert_int_equal(client_call(fixture, "/test/Size", i, 1), ERROR_BUSY);
            assert_int_equal(fixture->error.sys, ENOENT);
            (void) usleep(375000U * (unsigned) (i * i)); /* 7.5 s at last */
        }
        called_service_start(&fixture->service, fixture->path);
        int64_t start_ms = clock_monotonic_ms();
        while (client_call(fixture, "/test/Size", i, 1) != 0 &&
               clock_monotonic_ms() - start_ms < 20000)
            (void) usleep(10000);
        if (clock_monotonic_ms() - start_ms > 3000)
            fail_msg("found after %d ms: %s", (int) (clock_monotonic_ms() - start_ms),
                     fixture->error.message);
    }
}

/* While nobody calls, nobody notices. */
static void a_server_that_was_restarted_meanwhile_is_found_at_once(void **state)
{
    struct client_fixture *fixture = *state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(client_call(fixture, "/test/Size", i, 1), 0);
        called_service_stop(&fixture->service);
        called_service_start(&fixture->service, fixture->path);
        if (client_call(fixture, "/test/Size", i, 1) != 0)
            fail_msg("round %d: %s", i, fixture->error.message);
    }
}

static void a_socket_that_is_not_there_is_named(void **state)
{
    struct client_fixture *fixture = *state;
    owned(mem_free) char *text =
        mem_printf("cannot reach %s: No such file or directory", fixture->path);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(client_call(fixture, "/test/Size", 1, 1), ERROR_BUSY);
        assert_string_equal(fixture->error.message, text);
        assert_int_equal(fixture->error.sys, ENOENT);
        (void) usleep((unsigned) i * 1000);
    }
}

static void a_socket_without_a_listener_is_named(void **state)
{
    struct client_fixture *fixture = *state;
    owned(mem_free) char *text = mem_printf("cannot reach %s: Connection refused", fixture->path);
    int fd = raw_peer_listen(fixture->path);
    fd_close(&fd);
    assert_int_equal(client_call(fixture, "/test/Size", 1, 1), ERROR_BUSY);
    assert_string_equal(fixture->error.message, text);
    assert_int_equal(fixture->error.sys, ECONNREFUSED);
}

static void a_server_that_never_speaks_is_given_up(void **state)
{
    struct client_fixture *fixture = *state;
    const struct rpc_client_call_options options = {.timeout_ms = 300};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    int fd = raw_peer_listen(fixture->path);
    assert_int_equal(
        client_call_with(fixture, "/test/Size", &options, &request, &response, &fixture->error),
        ERROR_BUSY);
    assert_non_null(strstr(fixture->error.message, "has not answered for 300 ms"));
    fd_close(&fd);
}

static void paths_that_are_no_address_are_refused(void **state)
{
    (void) state;
    struct rpc_client *client = NULL;
    struct error error = {0};
    char path[200] = "/";
    const size_t longest = sizeof((struct sockaddr_un *) NULL)->sun_path - 1;
    owned(mem_free) char *text = mem_printf("longer than the %zu bytes", longest);
    memset(path + 1, 'x', longest);
    assert_int_equal(rpc_client_new(path, &client, &error), ERROR_INVALID);
    assert_non_null(strstr(error.message, text));
    path[longest] = '\0';
    assert_int_equal(rpc_client_new(path, &client, &error), 0);
    rpc_client_free(client);
    assert_int_equal(rpc_client_new("relative.sock", &client, &error), ERROR_INVALID);
    rpc_client_free(NULL);
}

static void messages_of_16_mib_pass_and_bigger_ones_do_not(void **state)
{
    struct client_fixture *fixture = *state;
    char *data = mem_alloc(17 * MIB);
    assert_int_equal(client_call(fixture, "/test/Size", 1, 16 * MIB - 100), 0);
    assert_int_equal(client_call(fixture, "/test/Size", 1, 16 * MIB + 100), ERROR_NO_SPACE);
    for (int i = 0; i < 2; i++) {
        owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
            client_open(fixture, "/test/Echo", &no_options);
        size_t length = i ? 16 * MIB + 100 : 16 * MIB - 100;
        int64_t offset = -1;
        int rc = client_send_write(stream, 7, data, length, true, NULL);
        if (rc == 0)
            rc = client_receive(fixture, stream, &offset);
        assert_int_equal(rc, i ? ERROR_NO_SPACE : 1);
    }
    assert_int_equal(client_call(fixture, "/test/Size", 1, 1), 0);
    free(data);
}

struct caller {
    struct client_fixture *fixture;
    int number;
    int wrong;
};

/* cmocka's checks belong to the main thread. */
static int call_once(struct caller *caller, int64_t offset)
{
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    request.offset = offset;
    request.size = 1000;
    int rc = rpc_client_call(caller->fixture->client, "/test/Size", &no_options, &request.base,
                             READ_RESPONSE, &message, NULL);
    if (rc != 0)
        return 1;
    const read_response *response = (const read_response *) message;
    int wrong = response->offset != offset || response->data.len != 1000;
    protobuf_c_message_free_unpacked(message, NULL);
    return wrong;
}

static int stream_once(struct caller *caller)
{
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream = NULL;
    const ProtobufCMessage *message = NULL;
    int wrong = rpc_client_stream_open(caller->fixture->client, "/test/Echo", &no_options,
                                       READ_RESPONSE, &stream, NULL) != 0;
    for (int i = 0; i < 10 && !wrong; i++)
        wrong = client_send_write(stream, i, "abc", 3, i == 9, NULL) != 0 ||
                rpc_client_stream_receive(stream, &message, NULL) != 1 ||
                ((const read_response *) message)->offset != i;
    return wrong;
}

static void *call_often(void *argument)
{
    struct caller *caller = argument;
    for (int i = 0; i < CALLS; i++)
        caller->wrong +=
            i % 2 ? call_once(caller, caller->number * CALLS + i) : stream_once(caller);
    return NULL;
}

static void many_threads_call_at_once(void **state)
{
    struct caller callers[THREADS];
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){.fixture = *state, .number = i};
        assert_int_equal(pthread_create(&threads[i], NULL, call_often, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        (void) pthread_join(threads[i], NULL);
        assert_int_equal(callers[i].wrong, 0);
    }
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, client_fixture_set_up, client_fixture_tear_down)
#define TEST_ALONE(name)                                                                           \
    cmocka_unit_test_setup_teardown(name, client_fixture_set_up_alone, client_fixture_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_unary_call_is_answered),
        TEST(headers_reach_the_service),
        TEST(a_header_has_4_kib_and_no_more),
        TEST(headers_that_are_no_text_count_as_none),
        TEST(a_header_that_cannot_be_sent_is_refused),
        TEST(every_error_comes_back_as_what_it_was),
        TEST(error_texts_may_be_long_and_of_any_language),
        TEST(malformed_answers_are_refused),
        TEST(a_cancel_ends_a_call_that_hangs),
        TEST(a_call_that_was_cancelled_before_ends_soon),
        TEST(a_call_that_takes_too_long_is_given_up),
        TEST(the_time_starts_anew_with_every_message),
        TEST(a_stream_brings_all_messages_in_order),
        TEST(a_stream_takes_all_messages),
        TEST(messages_go_both_ways_in_turn),
        TEST(a_stream_ends_with_the_error_of_the_other_side),
        TEST(a_send_fails_with_the_error_of_the_other_side),
        TEST(clearing_a_stream_cancels_the_call),
        TEST(a_stream_ends_when_the_server_goes_away),
        TEST(a_server_is_found_again),
        TEST(a_server_that_was_restarted_meanwhile_is_found_at_once),
        TEST_ALONE(a_socket_that_is_not_there_is_named),
        TEST_ALONE(a_socket_without_a_listener_is_named),
        TEST_ALONE(a_server_that_never_speaks_is_given_up),
        TEST_ALONE(paths_that_are_no_address_are_refused),
        TEST(messages_of_16_mib_pass_and_bigger_ones_do_not),
        TEST(many_threads_call_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
