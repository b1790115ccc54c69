/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/mem.h"
#include "content.pb-c.h"
#include "rpc/address.h"
#include "rpc/call.h"
#include "rpc/client.h"
#include "rpc/listener.h"
#include "rpc/server.h"
#include "tests/unit/scratch.h"

typedef Containerd__Services__Content__V1__WriteContentRequest write_request;
typedef Containerd__Services__Content__V1__WriteContentResponse write_response;
typedef Containerd__Services__Content__V1__ReadContentRequest read_request;
typedef Containerd__Services__Content__V1__ReadContentResponse read_response;

#define WRITE_REQUEST (&containerd__services__content__v1__write_content_request__descriptor)
#define WRITE_RESPONSE (&containerd__services__content__v1__write_content_response__descriptor)
#define READ_REQUEST (&containerd__services__content__v1__read_content_request__descriptor)
#define READ_RESPONSE (&containerd__services__content__v1__read_content_response__descriptor)

enum { CODES = 13, MANY = 5000, THREADS = 32, CALLS = 50, MIB = 1 << 20 };

struct service {
    atomic_uint began;
    atomic_uint cancelled;
};

static void answer(struct rpc_call *call, int64_t offset, const void *data, size_t size)
{
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    response.offset = offset;
    response.data = (ProtobufCBinaryData){.data = (uint8_t *) data, .len = size};
    rpc_call_reply(call, &response.base);
}

/* Header: answers with the value of the header that the request's digest names; offset 1 if the
 * call has none. */
static void header(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    const char *value = rpc_call_header(call, request->digest);
    answer(call, value ? 0 : 1, value, value ? strlen(value) : 0);
}

/* Fail: with the code -offset, or with the text that the digest has. */
static void fail_as_asked(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    struct error error = {0};
    (void) error_set(&error, (enum error_code) - request->offset, "%s", request->digest);
    rpc_call_fail(call, &error);
}

/* Size: answers with so many bytes. */
static void size(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    uint8_t *data = mem_alloc((size_t) request->size);
    memset(data, 'x', (size_t) request->size);
    answer(call, request->offset, data, (size_t) request->size);
    free(data);
}

/* Hang: until the client has gone. */
static void hang_over(struct rpc_call *call)
{
    struct service *service = rpc_call_service(call);
    struct error error = {0};
    if (cancel_requested(rpc_call_cancel(call)))
        atomic_fetch_add(&service->cancelled, 1);
    (void) error_set(&error, ERROR_CANCELLED, "over");
    rpc_call_fail(call, &error);
}

static void hang(struct rpc_call *call)
{
    atomic_fetch_add(&((struct service *) rpc_call_service(call))->began, 1);
    rpc_call_delay(call, 600000, RPC_LANE_QUICK, hang_over);
}

/* Malformed: an answer with a string that is none. */
static void malformed(struct rpc_call *call)
{
    write_response response = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_RESPONSE__INIT;
    response.digest = (char *) "\xff";
    rpc_call_reply(call, &response.base);
}

/* Source: size messages numbered by offset, one every total milliseconds. */
struct source {
    int64_t sent;
};

static void source_next(struct rpc_call *call);

static void source_send(struct rpc_call *call)
{
    struct source *source = rpc_call_state(call);
    read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    response.offset = source->sent++;
    rpc_call_send(call, &response.base, RPC_LANE_BULK, source_next);
}

static void source_next(struct rpc_call *call)
{
    const read_request *request = rpc_call_request(call);
    struct source *source = rpc_call_state(call);
    if (!source) {
        source = mem_alloc(sizeof *source);
        rpc_call_set_state(call, source, free);
    }
    if (cancel_requested(rpc_call_cancel(call)))
        hang_over(call);
    else if (source->sent == request->size)
        rpc_call_finish(call);
    else if (request->offset)
        rpc_call_delay(call, (unsigned) request->offset, RPC_LANE_BULK, source_send);
    else
        source_send(call);
}

/* Echo: each message's offset and data come back; the offset -1 is an error. */
static void echo_received(struct rpc_call *call);

static void echo_next(struct rpc_call *call)
{
    rpc_call_receive(call, RPC_LANE_BULK, echo_received);
}

static void echo_received(struct rpc_call *call)
{
    const write_request *request = rpc_call_request(call);
    struct error error = {0};
    if (!request && cancel_requested(rpc_call_cancel(call))) {
        hang_over(call);
    } else if (!request) {
        rpc_call_finish(call);
    } else if (request->offset < 0) {
        (void) error_set(&error, ERROR_EXISTS, "enough");
        rpc_call_fail(call, &error);
    } else {
        read_response response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
        response.offset = request->offset;
        response.data = request->data;
        rpc_call_exchange(call, &response.base, RPC_LANE_BULK, echo_received);
    }
}

/* Sink: says at the end how many messages there were. */
static void sink_received(struct rpc_call *call)
{
    struct source *count = rpc_call_state(call);
    if (!count) {
        count = mem_alloc(sizeof *count);
        rpc_call_set_state(call, count, free);
    }
    if (rpc_call_request(call)) {
        count->sent++;
        rpc_call_receive(call, RPC_LANE_BULK, sink_received);
    } else {
        answer(call, count->sent, NULL, 0);
    }
}

static void sink(struct rpc_call *call)
{
    rpc_call_receive(call, RPC_LANE_BULK, sink_received);
}

#define UNARY(name, function)                                                                      \
    {                                                                                              \
        .path = "/test/" name, .request = READ_REQUEST, .step = (function), .lane = RPC_LANE_QUICK \
    }

static const struct rpc_method methods[] = {
    UNARY("Header", header),
    UNARY("Fail", fail_as_asked),
    UNARY("Size", size),
    UNARY("Hang", hang),
    UNARY("Malformed", malformed),
    {.path = "/test/Source",
     .kind = RPC_SERVER_STREAM,
     .request = READ_REQUEST,
     .lane = RPC_LANE_BULK,
     .step = source_next},
    {.path = "/test/Echo",
     .kind = RPC_BIDI,
     .request = WRITE_REQUEST,
     .lane = RPC_LANE_BULK,
     .step = echo_next},
    {.path = "/test/Sink",
     .kind = RPC_BIDI,
     .request = WRITE_REQUEST,
     .lane = RPC_LANE_BULK,
     .step = sink},
};

struct fixture {
    struct scratch scratch;
    char *path;
    struct service service;
    struct rpc_server *server;
    struct rpc_listener *listener;
    struct rpc_client *client;
    struct error error;
};

static void start_server(struct fixture *fixture)
{
    struct rpc_server_options options = {0};
    assert_int_equal(rpc_server_new(&options, &fixture->server, NULL), 0);
    rpc_server_add(fixture->server, methods, sizeof methods / sizeof methods[0], &fixture->service);
    assert_int_equal(rpc_server_start(fixture->server, NULL), 0);
    assert_int_equal(rpc_listener_open(fixture->path, fixture->server, &fixture->listener, NULL),
                     0);
}

static void stop_server(struct fixture *fixture)
{
    rpc_listener_close(fixture->listener);
    fixture->listener = NULL;
    if (fixture->server)
        (void) rpc_server_stop(fixture->server, 0, -1);
    rpc_server_free(fixture->server);
    fixture->server = NULL;
}

/* The name needs escapes in a target of core. */
static int set_up_without_server(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof *fixture);
    *state = fixture;
    scratch_make(&fixture->scratch);
    fixture->path = mem_printf("%s/a %%41?#b.sock", fixture->scratch.path);
    return rpc_client_new(fixture->path, &fixture->client, NULL);
}

static int set_up(void **state)
{
    int rc = set_up_without_server(state);
    if (rc == 0)
        start_server(*state);
    return rc;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    rpc_client_free(fixture->client);
    stop_server(fixture);
    scratch_remove(&fixture->scratch);
    mem_free(&fixture->path);
    free(fixture);
    return 0;
}

/* Waits until the counter has come to the value. */
static void await(atomic_uint *counter, unsigned value)
{
    for (int i = 0; i < 20000 && atomic_load(counter) < value; i++)
        (void) usleep(1000);
    assert_true(atomic_load(counter) >= value);
}

static const struct rpc_client_call_options no_options;

static int call_with(struct fixture *fixture, const char *method,
                     const struct rpc_client_call_options *options, const read_request *request,
                     read_response **out_response, struct error *error)
{
    ProtobufCMessage *message = NULL;
    int rc = rpc_client_call(fixture->client, method, options, &request->base, READ_RESPONSE,
                             &message, error);
    assert_true((rc == 0) == (message != NULL));
    *out_response = (read_response *) message;
    return rc;
}

/* Only whether it works. */
static int call(struct fixture *fixture, const char *method, int64_t offset, int64_t bytes)
{
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    request.offset = offset;
    request.size = bytes;
    request.digest = (char *) "text";
    fixture->error = (struct error){0};
    int rc = call_with(fixture, method, &no_options, &request, &response, &fixture->error);
    if (response) {
        assert_int_equal(response->offset, offset);
        assert_int_equal(response->data.len, bytes);
        protobuf_c_message_free_unpacked(&response->base, NULL);
    }
    return rc;
}

static struct rpc_client_stream *open_with(struct fixture *fixture, const char *method,
                                           const struct rpc_client_call_options *options)
{
    struct rpc_client_stream *stream = NULL;
    assert_int_equal(rpc_client_stream_open(fixture->client, method, options, READ_RESPONSE,
                                            &stream, &fixture->error),
                     0);
    return stream;
}

static int send_write(struct rpc_client_stream *stream, int64_t offset, const void *data,
                      size_t length, bool last, struct error *error)
{
    write_request request = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_REQUEST__INIT;
    request.offset = offset;
    request.data = (ProtobufCBinaryData){.data = (uint8_t *) data, .len = length};
    return rpc_client_stream_send(stream, &request.base, last, error);
}

static int send_read(struct rpc_client_stream *stream, int64_t offset, int64_t bytes)
{
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    request.offset = offset;
    request.size = bytes;
    return rpc_client_stream_send(stream, &request.base, true, NULL);
}

/* The offset of the next message, or the outcome if there is none: 0 or an error code. */
static int receive(struct fixture *fixture, struct rpc_client_stream *stream, int64_t *out_offset)
{
    const ProtobufCMessage *message = NULL;
    fixture->error = (struct error){0};
    int rc = rpc_client_stream_receive(stream, &message, &fixture->error);
    if (rc == 1)
        *out_offset = ((const read_response *) message)->offset;
    return rc;
}

static void a_unary_call_is_answered(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 500; i++)
        if (call(fixture, "/test/Size", i, i % 3) != 0)
            fail_msg("%s", fixture->error.message);
}

/* The service sees the value of the key; NULL: none. */
static void expect_header(struct fixture *fixture, const struct rpc_header *headers, size_t count,
                          const char *key, const char *value)
{
    const struct rpc_client_call_options options = {.headers = headers, .header_count = count};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    request.digest = (char *) key;
    assert_int_equal(call_with(fixture, "/test/Header", &options, &request, &response, NULL), 0);
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

/* Bytes of HTTP/2 as no client of core sends them. */
struct raw {
    uint8_t bytes[1024];
    size_t size;
};

static void put_bytes(struct raw *raw, const void *bytes, size_t size)
{
    memcpy(raw->bytes + raw->size, bytes, size);
    raw->size += size;
}

/* A header as HPACK has it without its tables. */
static void put_header(struct raw *raw, const char *key, const char *value)
{
    const uint8_t start[] = {0, (uint8_t) strlen(key)};
    const uint8_t length = (uint8_t) strlen(value);
    put_bytes(raw, start, 2);
    put_bytes(raw, key, strlen(key));
    put_bytes(raw, &length, 1);
    put_bytes(raw, value, strlen(value));
}

static void put_frame(struct raw *raw, uint8_t type, uint8_t flags, uint8_t stream,
                      const struct raw *body)
{
    const uint8_t head[] = {
        0, (uint8_t) (body->size >> 8), (uint8_t) body->size, type, flags, 0, 0, 0, stream};
    put_bytes(raw, head, sizeof head);
    put_bytes(raw, body->bytes, body->size);
}

/* A call of Header that asks for the header "key". */
static void make_raw_call(struct raw *raw, const char *value)
{
    enum { DATA, HEADERS, SETTINGS = 4, END_STREAM = 1, END_HEADERS = 4 };
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    struct raw settings = {.size = 0};
    struct raw headers = {.size = 0};
    struct raw message = {.size = 0};
    put_header(&headers, ":method", "POST");
    put_header(&headers, ":scheme", "http");
    put_header(&headers, ":path", "/test/Header");
    put_header(&headers, ":authority", "localhost");
    put_header(&headers, "content-type", "application/grpc");
    put_header(&headers, "te", "trailers");
    put_header(&headers, "key", value);
    put_bytes(&message, "\0\0\0\0\5\12\3key", 10);
    put_bytes(raw, preface, sizeof preface - 1);
    put_frame(raw, SETTINGS, 0, 0, &settings);
    put_frame(raw, HEADERS, END_HEADERS, 1, &headers);
    put_frame(raw, DATA, END_STREAM, 1, &message);
}

/* True if the service was told the value, which it sends back then. */
static bool is_told(struct fixture *fixture, const char *value)
{
    struct sockaddr_un address;
    struct raw raw = {.size = 0};
    char answer_bytes[4096];
    size_t size = 0;
    assert_int_equal(rpc_address_make(fixture->path, &address, NULL), 0);
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
    make_raw_call(&raw, value);
    assert_int_equal(write(fd, raw.bytes, raw.size), raw.size);
    /* the trailers are the last that comes */
    while (!memmem(answer_bytes, size, "grpc-status", 11)) {
        ssize_t count = read(fd, answer_bytes + size, sizeof answer_bytes - size);
        assert_true(count > 0);
        size += (size_t) count;
    }
    return memmem(answer_bytes, size, value, strlen(value)) != NULL;
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
    struct fixture *fixture = *state;
    static const struct rpc_header wrong[] = {
        {"Upper", "x"}, {"sp ace", "x"}, {"key", "line\nfeed"}, {"key", "umlaut \xc3\xa4"}};
    for (int i = 0; i < 4; i++) {
        const struct rpc_client_call_options options = {.headers = &wrong[i], .header_count = 1};
        read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
        read_response *response = NULL;
        assert_int_equal(call_with(fixture, "/test/Header", &options, &request, &response, NULL),
                         ERROR_INVALID);
    }
}

static void every_error_comes_back_as_what_it_was(void **state)
{
    struct fixture *fixture = *state;
    for (int code = -1; code >= -CODES; code--) {
        assert_int_equal(call(fixture, "/test/Fail", -code, 0),
                         code == ERROR_INTERNAL ? ERROR_IO : code);
        assert_string_equal(fixture->error.message, "text");
        assert_int_equal(fixture->error.sys, 0);
    }
    assert_int_equal(call(fixture, "/test/Nothing", 0, 0), ERROR_UNIMPLEMENTED);
    assert_string_equal(fixture->error.message, "unknown method /test/Nothing");
}

static void error_texts_may_be_long_and_of_any_language(void **state)
{
    struct fixture *fixture = *state;
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    struct error error = {0};
    char *text = mem_alloc(1000);
    for (int i = 0; i < 333; i++)
        memcpy(text + 3 * i, "\xe2\x82\xac", 3);
    request.offset = 1;
    request.digest = text;
    assert_int_equal(call_with(fixture, "/test/Fail", &no_options, &request, &response, &error),
                     ERROR_INVALID);
    assert_string_equal(error.message, text);
    free(text);
}

static void malformed_answers_are_refused(void **state)
{
    struct fixture *fixture = *state;
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    ProtobufCMessage *message = NULL;
    assert_int_equal(rpc_client_call(fixture->client, "/test/Malformed", &no_options, &request.base,
                                     WRITE_RESPONSE, &message, &fixture->error),
                     ERROR_IO);
    assert_null(message);
    assert_non_null(strstr(fixture->error.message, "UTF-8"));
    assert_int_equal(call(fixture, "/test/Size", 1, 1), 0);
}

static void *request_cancel(void *cancel)
{
    (void) usleep(100000);
    cancel_request(cancel);
    return NULL;
}

static void a_cancel_ends_a_call_that_hangs(void **state)
{
    struct fixture *fixture = *state;
    struct cancel cancel = {0};
    const struct rpc_client_call_options options = {.cancel = &cancel};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    pthread_t thread;
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(pthread_create(&thread, NULL, request_cancel, &cancel), 0);
    assert_int_equal(call_with(fixture, "/test/Hang", &options, &request, &response, NULL),
                     ERROR_CANCELLED);
    assert_in_range(clock_monotonic_ms() - start_ms, 90, 5000);
    (void) pthread_join(thread, NULL);
    await(&fixture->service.cancelled, 1);
}

static void a_call_that_was_cancelled_before_ends_soon(void **state)
{
    struct fixture *fixture = *state;
    struct cancel cancel = {0};
    const struct rpc_client_call_options options = {.cancel = &cancel};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    cancel_request(&cancel);
    for (int i = 0; i < 20; i++)
        assert_int_equal(call_with(fixture, "/test/Hang", &options, &request, &response, NULL),
                         ERROR_CANCELLED);
}

static void a_call_that_takes_too_long_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    const struct rpc_client_call_options options = {.timeout_ms = 200};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(
        call_with(fixture, "/test/Hang", &options, &request, &response, &fixture->error),
        ERROR_BUSY);
    assert_in_range(clock_monotonic_ms() - start_ms, 190, 5000);
    assert_non_null(strstr(fixture->error.message, "has not answered for 200 ms"));
    assert_int_equal(fixture->error.sys, 0);
    await(&fixture->service.cancelled, 1);
}

static void the_time_starts_anew_with_every_message(void **state)
{
    struct fixture *fixture = *state;
    const struct rpc_client_call_options options = {.timeout_ms = 1000};
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        open_with(fixture, "/test/Source", &options);
    int64_t start_ms = clock_monotonic_ms();
    int64_t offset = -1;
    assert_int_equal(send_read(stream, 100, 15), 0);
    for (int i = 0; i < 15; i++) {
        assert_int_equal(receive(fixture, stream, &offset), 1);
        assert_int_equal(offset, i);
    }
    assert_int_equal(receive(fixture, stream, &offset), 0);
    assert_true(clock_monotonic_ms() - start_ms > 1200);
}

static void a_stream_brings_all_messages_in_order(void **state)
{
    struct fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        open_with(fixture, "/test/Source", &no_options);
    int64_t offset = -1;
    assert_int_equal(send_read(stream, 0, MANY), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(receive(fixture, stream, &offset), 1);
        assert_int_equal(offset, i);
    }
    for (int i = 0; i < 3; i++) /* and says so again */
        assert_int_equal(receive(fixture, stream, &offset), 0);
}

static void a_stream_takes_all_messages(void **state)
{
    struct fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        open_with(fixture, "/test/Sink", &no_options);
    int64_t offset = -1;
    for (int i = 1; i <= MANY; i++)
        assert_int_equal(send_write(stream, i, "x", 1, i == MANY, NULL), 0);
    assert_int_equal(receive(fixture, stream, &offset), 1);
    assert_int_equal(offset, MANY);
    assert_int_equal(receive(fixture, stream, &offset), 0);
}

static void messages_go_both_ways_in_turn(void **state)
{
    struct fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        open_with(fixture, "/test/Echo", &no_options);
    char *data = mem_alloc(MIB);
    for (int i = 1; i <= MANY; i++) {
        size_t length = i % 100 ? (size_t) i % 50 : MIB;
        memset(data, 'a' + i % 26, length);
        const ProtobufCMessage *message = NULL;
        assert_int_equal(send_write(stream, i, data, length, i == MANY, NULL), 0);
        assert_int_equal(rpc_client_stream_receive(stream, &message, NULL), 1);
        const read_response *response = (const read_response *) message;
        assert_int_equal(response->offset, i);
        assert_int_equal(response->data.len, length);
        if (length > 0)
            assert_memory_equal(response->data.data, data, length);
    }
    int64_t offset = -1;
    assert_int_equal(receive(fixture, stream, &offset), 0);
    assert_int_equal(send_write(stream, 1, "x", 1, false, &fixture->error), ERROR_PRECONDITION);
    free(data);
}

static void a_stream_ends_with_the_error_of_the_other_side(void **state)
{
    struct fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        open_with(fixture, "/test/Echo", &no_options);
    int64_t offset = -1;
    assert_int_equal(send_write(stream, 1, "x", 1, false, NULL), 0);
    assert_int_equal(receive(fixture, stream, &offset), 1);
    assert_int_equal(send_write(stream, -1, "x", 1, false, NULL), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(receive(fixture, stream, &offset), ERROR_EXISTS);
        assert_string_equal(fixture->error.message, "enough");
    }
    fixture->error = (struct error){0};
    assert_int_equal(send_write(stream, 2, "x", 1, false, &fixture->error), ERROR_EXISTS);
    assert_string_equal(fixture->error.message, "enough");
}

static void a_send_fails_with_the_error_of_the_other_side(void **state)
{
    struct fixture *fixture = *state;
    owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
        open_with(fixture, "/test/Echo", &no_options);
    char *data = mem_alloc(MIB);
    int rc = send_write(stream, -1, "x", 1, false, NULL);
    for (int i = 0; i < 1000 && rc == 0; i++)
        rc = send_write(stream, 1, data, MIB, false, &fixture->error);
    assert_int_equal(rc, ERROR_EXISTS);
    assert_string_equal(fixture->error.message, "enough");
    free(data);
}

static void clearing_a_stream_cancels_the_call(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 200; i++) {
        owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
            open_with(fixture, i % 2 ? "/test/Echo" : "/test/Source", &no_options);
        int64_t offset = -1;
        if (i % 4 >= 2)
            continue;
        assert_int_equal(i % 2 ? send_write(stream, 1, "x", 1, false, NULL)
                               : send_read(stream, 0, INT64_MAX),
                         0);
        assert_int_equal(receive(fixture, stream, &offset), 1);
    }
    await(&fixture->service.cancelled, 100);
    assert_int_equal(call(fixture, "/test/Size", 1, 1), 0);
}

static void a_stream_ends_when_the_server_goes_away(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_client_stream *streams[20];
    int64_t offset = -1;
    for (int i = 0; i < 20; i++) {
        streams[i] = open_with(fixture, i % 2 ? "/test/Echo" : "/test/Source", &no_options);
        assert_int_equal(i % 2 ? send_write(streams[i], 1, "x", 1, false, NULL)
                               : send_read(streams[i], 20, 100000),
                         0);
        assert_int_equal(receive(fixture, streams[i], &offset), 1);
    }
    stop_server(fixture);
    for (int i = 0; i < 20; i++) {
        int rc = 0;
        while ((rc = receive(fixture, streams[i], &offset)) == 1)
            ;
        /* what the service says when it is cut, or core in its place */
        assert_true(rc == ERROR_BUSY || rc == ERROR_CANCELLED);
        assert_true(fixture->error.message[0] != '\0');
        rpc_client_stream_clear(&streams[i]);
    }
}

static void a_server_is_found_again(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 3; i++) {
        assert_int_equal(call(fixture, "/test/Size", i, 1), 0);
        stop_server(fixture);
        for (int n = 0; n < 5; n++) {
            assert_int_equal(call(fixture, "/test/Size", i, 1), ERROR_BUSY);
            assert_int_equal(fixture->error.sys, ENOENT);
            (void) usleep(375000U * (unsigned) (i * i)); /* 7.5 s at last */
        }
        start_server(fixture);
        int64_t start_ms = clock_monotonic_ms();
        while (call(fixture, "/test/Size", i, 1) != 0 && clock_monotonic_ms() - start_ms < 20000)
            (void) usleep(10000);
        if (clock_monotonic_ms() - start_ms > 3000)
            fail_msg("found after %d ms: %s", (int) (clock_monotonic_ms() - start_ms),
                     fixture->error.message);
    }
}

/* While nobody calls, nobody notices. */
static void a_server_that_was_restarted_meanwhile_is_found_at_once(void **state)
{
    struct fixture *fixture = *state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(call(fixture, "/test/Size", i, 1), 0);
        stop_server(fixture);
        start_server(fixture);
        if (call(fixture, "/test/Size", i, 1) != 0)
            fail_msg("round %d: %s", i, fixture->error.message);
    }
}

static void a_socket_that_is_not_there_is_named(void **state)
{
    struct fixture *fixture = *state;
    owned(mem_free) char *text =
        mem_printf("cannot reach %s: No such file or directory", fixture->path);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(call(fixture, "/test/Size", 1, 1), ERROR_BUSY);
        assert_string_equal(fixture->error.message, text);
        assert_int_equal(fixture->error.sys, ENOENT);
        (void) usleep((unsigned) i * 1000);
    }
}

static int listen_raw(const char *path)
{
    struct sockaddr_un address;
    assert_int_equal(rpc_address_make(path, &address, NULL), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

static void a_socket_without_a_listener_is_named(void **state)
{
    struct fixture *fixture = *state;
    owned(mem_free) char *text = mem_printf("cannot reach %s: Connection refused", fixture->path);
    int fd = listen_raw(fixture->path);
    fd_close(&fd);
    assert_int_equal(call(fixture, "/test/Size", 1, 1), ERROR_BUSY);
    assert_string_equal(fixture->error.message, text);
    assert_int_equal(fixture->error.sys, ECONNREFUSED);
}

static void a_server_that_never_speaks_is_given_up(void **state)
{
    struct fixture *fixture = *state;
    const struct rpc_client_call_options options = {.timeout_ms = 300};
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    read_response *response = NULL;
    int fd = listen_raw(fixture->path);
    assert_int_equal(
        call_with(fixture, "/test/Size", &options, &request, &response, &fixture->error),
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
    struct fixture *fixture = *state;
    char *data = mem_alloc(17 * MIB);
    assert_int_equal(call(fixture, "/test/Size", 1, 16 * MIB - 100), 0);
    assert_int_equal(call(fixture, "/test/Size", 1, 16 * MIB + 100), ERROR_NO_SPACE);
    for (int i = 0; i < 2; i++) {
        owned(rpc_client_stream_clear) struct rpc_client_stream *stream =
            open_with(fixture, "/test/Echo", &no_options);
        size_t length = i ? 16 * MIB + 100 : 16 * MIB - 100;
        int64_t offset = -1;
        int rc = send_write(stream, 7, data, length, true, NULL);
        if (rc == 0)
            rc = receive(fixture, stream, &offset);
        assert_int_equal(rc, i ? ERROR_NO_SPACE : 1);
    }
    assert_int_equal(call(fixture, "/test/Size", 1, 1), 0);
    free(data);
}

struct caller {
    struct fixture *fixture;
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
        wrong = send_write(stream, i, "abc", 3, i == 9, NULL) != 0 ||
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

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_ALONE(name) cmocka_unit_test_setup_teardown(name, set_up_without_server, tear_down)

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
