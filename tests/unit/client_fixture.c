/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/mem.h"
#include "tests/unit/client_fixture.h"

/* The name needs escapes in a target of core. */
int client_fixture_set_up_alone(void **state)
{
    struct client_fixture *fixture = mem_alloc(sizeof *fixture);
    *state = fixture;
    scratch_make(&fixture->scratch);
    fixture->path = mem_printf("%s/a %%41?#b.sock", fixture->scratch.path);
    return rpc_client_new(fixture->path, &fixture->client, NULL);
}

int client_fixture_set_up(void **state)
{
    int rc = client_fixture_set_up_alone(state);
    struct client_fixture *fixture = *state;
    if (rc == 0)
        called_service_start(&fixture->service, fixture->path);
    return rc;
}

int client_fixture_tear_down(void **state)
{
    struct client_fixture *fixture = *state;
    rpc_client_free(fixture->client);
    called_service_stop(&fixture->service);
    scratch_remove(&fixture->scratch);
    mem_free(&fixture->path);
    free(fixture);
    return 0;
}

int client_call_with(struct client_fixture *fixture, const char *method,
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

int client_call(struct client_fixture *fixture, const char *method, int64_t offset, int64_t bytes)
{
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    const struct rpc_client_call_options options = {0};
    read_response *response = NULL;
    request.offset = offset;
    request.size = bytes;
    request.digest = (char *) "text";
    fixture->error = (struct error){0};
    int rc = client_call_with(fixture, method, &options, &request, &response, &fixture->error);
    if (response) {
        assert_int_equal(response->offset, offset);
        assert_int_equal(response->data.len, bytes);
        protobuf_c_message_free_unpacked(&response->base, NULL);
    }
    return rc;
}

struct rpc_client_stream *client_open(struct client_fixture *fixture, const char *method,
                                      const struct rpc_client_call_options *options)
{
    struct rpc_client_stream *stream = NULL;
    assert_int_equal(rpc_client_stream_open(fixture->client, method, options, READ_RESPONSE,
                                            &stream, &fixture->error),
                     0);
    return stream;
}

int client_send_write(struct rpc_client_stream *stream, int64_t offset, const void *data,
                      size_t length, bool last, struct error *error)
{
    write_request request = CONTAINERD__SERVICES__CONTENT__V1__WRITE_CONTENT_REQUEST__INIT;
    request.offset = offset;
    request.data = (ProtobufCBinaryData){.data = (uint8_t *) data, .len = length};
    return rpc_client_stream_send(stream, &request.base, last, error);
}

int client_send_read(struct rpc_client_stream *stream, int64_t offset, int64_t bytes)
{
    read_request request = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_REQUEST__INIT;
    request.offset = offset;
    request.size = bytes;
    return rpc_client_stream_send(stream, &request.base, true, NULL);
}

int client_receive(struct client_fixture *fixture, struct rpc_client_stream *stream,
                   int64_t *out_offset)
{
    const ProtobufCMessage *message = NULL;
    fixture->error = (struct error){0};
    int rc = rpc_client_stream_receive(stream, &message, &fixture->error);
    if (rc == 1)
        *out_offset = ((const read_response *) message)->offset;
    return rc;
}
