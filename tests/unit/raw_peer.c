/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "rpc/address.h"
#include "tests/unit/raw_peer.h"

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

static void put_call(struct raw *raw, const struct raw_peer_call *call)
{
    enum { DATA, HEADERS, SETTINGS = 4, END_STREAM = 1, END_HEADERS = 4 };
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    const uint8_t prefix[] = {0, 0, 0, 0, (uint8_t) call->size};
    struct raw settings = {.size = 0};
    struct raw headers = {.size = 0};
    struct raw message = {.size = 0};
    put_header(&headers, ":method", "POST");
    put_header(&headers, ":scheme", "http");
    put_header(&headers, ":path", call->method);
    put_header(&headers, ":authority", "localhost");
    put_header(&headers, "content-type", "application/grpc");
    put_header(&headers, "te", "trailers");
    put_header(&headers, call->key, call->value);
    put_bytes(&message, prefix, sizeof prefix);
    put_bytes(&message, call->message, call->size);
    put_bytes(raw, preface, sizeof preface - 1);
    put_frame(raw, SETTINGS, 0, 0, &settings);
    put_frame(raw, HEADERS, END_HEADERS, 1, &headers);
    put_frame(raw, DATA, END_STREAM, 1, &message);
}

size_t raw_peer_call(const char *path, const struct raw_peer_call *call, void *answer,
                     size_t capacity)
{
    struct sockaddr_un address;
    struct raw raw = {.size = 0};
    size_t size = 0;
    assert_int_equal(rpc_address_make(path, &address, NULL), 0);
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (struct sockaddr *) &address, sizeof address), 0);
    put_call(&raw, call);
    assert_int_equal(write(fd, raw.bytes, raw.size), raw.size);
    /* the trailers are the last that comes */
    while (!memmem(answer, size, "grpc-status", 11)) {
        ssize_t count = read(fd, (char *) answer + size, capacity - size);
        assert_true(count > 0);
        size += (size_t) count;
    }
    return size;
}

int raw_peer_listen(const char *path)
{
    struct sockaddr_un address;
    assert_int_equal(rpc_address_make(path, &address, NULL), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *) &address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}
