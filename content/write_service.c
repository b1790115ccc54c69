/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "content.pb-c.h"
#include "content/ingest.h"
#include "content/service.h"
#include "rpc/message.h"

/*
 * Write (contract 6.2): a stream in which the client sends a message, waits for its answer, and
 * goes on. The first message names the ref.
 *
 *   begin -> first_message -> take -> act -> finish -> next_message -> act ...
 *              (busy: take again)      (much to digest: finish on the bulk lane)
 */
typedef Containerd__Services__Content__V1__WriteContentRequest Request;
typedef Containerd__Services__Content__V1__WriteContentResponse Response;

/* Keys of snapshots end there, too. */
#define MAX_REF_BYTES 16384
/* A busy ref is waited for as long as containerd's local store does, looking so often. */
#define BUSY_MS 500
#define BUSY_RETRY_MS 10
/* To digest more than this is no short work. */
#define SHORT_BYTES ((uint64_t) 4 << 20)

struct writing {
    struct ingest *ingest;
    char *ref;
    int64_t busy_until_ms;
    bool has_expected; /* of the message at hand, like the next */
    struct digest expected;
};

static void writing_free(void *state)
{
    struct writing *writing = state;
    ingest_release(writing->ingest);
    mem_free(&writing->ref);
    free(writing);
}

/* Frees the ref before the client learns that the stream is over. */
static void let_go(struct writing *writing)
{
    ingest_release(writing->ingest);
    writing->ingest = NULL;
}

static void fail(struct rpc_call *call, const struct error *error)
{
    struct writing *writing = rpc_call_state(call);
    let_go(writing);
    rpc_fail_logged(call, "Write", writing->ref ? writing->ref : "", error);
}

static int read_expected(struct writing *writing, const Request *message, struct error *error)
{
    writing->has_expected = message->expected[0] != '\0';
    return writing->has_expected ? digest_parse(message->expected, &writing->expected, error) : 0;
}

static const struct digest *expected_of(const struct writing *writing)
{
    return writing->has_expected ? &writing->expected : NULL;
}

static void next_message(struct rpc_call *call);

/* What the message at hand is answered. */
struct answer {
    Response response;
    Google__Protobuf__Timestamp started;
    Google__Protobuf__Timestamp updated;
    char digest[DIGEST_TEXT_SIZE];
};

static int answer_fill(struct answer *answer, const struct rpc_call *call, struct error *error)
{
    const Request *message = rpc_call_request(call);
    struct ingest *ingest = ((struct writing *) rpc_call_state(call))->ingest;
    struct timestamp started;
    struct timestamp updated;
    struct digest digest;
    int rc = ingest_read_digest(ingest, rpc_call_cancel(call), &digest, error);
    if (rc != 0)
        return rc;
    digest_format(&digest, answer->digest);
    ingest_read_times(ingest, &started, &updated);
    rpc_time_fill(&answer->started, started);
    rpc_time_fill(&answer->updated, updated);
    containerd__services__content__v1__write_content_response__init(&answer->response);
    answer->response.action = message->action;
    answer->response.started_at = &answer->started;
    answer->response.updated_at = &answer->updated;
    answer->response.offset = (int64_t) ingest_offset(ingest);
    answer->response.total = (int64_t) ingest_total(ingest);
    answer->response.digest = answer->digest;
    return 0;
}

static int commit(struct rpc_call *call, struct error *error)
{
    const Request *message = rpc_call_request(call);
    const struct writing *writing = rpc_call_state(call);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    rpc_labels_read(message->labels, message->n_labels, &labels);
    int rc = labels_check(&labels, error);
    return rc == 0 ? ingest_commit(writing->ingest, &labels, rpc_call_cancel(call), error) : rc;
}

static void finish(struct rpc_call *call)
{
    const Request *message = rpc_call_request(call);
    bool last = message->action == CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT;
    struct answer answer;
    struct error error = {0};
    int rc = last ? commit(call, &error) : 0;
    if (rc == 0)
        rc = answer_fill(&answer, call, &error);
    if (rc != 0) {
        fail(call, &error);
    } else if (last) {
        let_go(rpc_call_state(call));
        rpc_call_reply(call, &answer.response.base);
    } else {
        rpc_call_exchange(call, &answer.response.base, RPC_LANE_TXN, next_message);
    }
}

/* WRITE and COMMIT: the data that the message brings. */
static int append(struct rpc_call *call, struct error *error)
{
    const Request *message = rpc_call_request(call);
    const struct writing *writing = rpc_call_state(call);
    const struct iovec *segments = NULL;
    size_t count = rpc_call_request_payload(call, &segments);
    int rc = ingest_seek(writing->ingest, message->offset, error);
    if (rc == 0 && count > 0)
        rc = ingest_append(writing->ingest, segments, count, error);
    return rc;
}

static void act(struct rpc_call *call)
{
    const Request *message = rpc_call_request(call);
    const struct writing *writing = rpc_call_state(call);
    struct error error = {0};
    int rc = 0;
    switch (message->action) {
    case CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__STAT:
        break;
    case CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__COMMIT:
        rc = append(call, &error);
        ingest_use_wanted_algorithm(writing->ingest);
        break;
    case CONTAINERD__SERVICES__CONTENT__V1__WRITE_ACTION__WRITE:
        rc = append(call, &error);
        break;
    default:
        rc = error_set(&error, ERROR_INVALID, "%d is no action of Write", (int) message->action);
    }
    if (rc != 0)
        fail(call, &error);
    else if (ingest_unread_bytes(writing->ingest) > SHORT_BYTES)
        rpc_call_continue(call, RPC_LANE_BULK, finish);
    else
        finish(call);
}

static int check_message(const Request *message, const struct writing *writing, struct error *error)
{
    if (message->total < 0)
        return error_set(error, ERROR_INVALID, "the total must not be negative");
    if (message->ref[0] && writing->ref && strcmp(message->ref, writing->ref) != 0)
        return error_set(error, ERROR_INVALID, "the ref must not change within a stream");
    return 0;
}

/* The client has nothing more to say, or is gone. */
static void end(struct rpc_call *call)
{
    struct error error = {0};
    let_go(rpc_call_state(call));
    if (cancel_requested(rpc_call_cancel(call))) {
        (void) error_set(&error, ERROR_CANCELLED, "the client has gone");
        rpc_call_fail(call, &error);
    } else {
        rpc_call_finish(call);
    }
}

static void next_message(struct rpc_call *call)
{
    const Request *message = rpc_call_request(call);
    struct writing *writing = rpc_call_state(call);
    struct error error = {0};
    if (!message) {
        end(call);
        return;
    }
    int rc = check_message(message, writing, &error);
    if (rc == 0)
        rc = read_expected(writing, message, &error);
    if (rc == 0)
        rc = ingest_announce(writing->ingest, expected_of(writing), (uint64_t) message->total,
                             &error);
    if (rc != 0)
        fail(call, &error);
    else
        act(call);
}

static void take(struct rpc_call *call)
{
    const Request *message = rpc_call_request(call);
    struct writing *writing = rpc_call_state(call);
    struct error error = {0};
    int rc = cancel_requested(rpc_call_cancel(call))
                 ? error_set(&error, ERROR_CANCELLED, "the client has gone")
                 : ingest_take(rpc_call_service(call), writing->ref, expected_of(writing),
                               (uint64_t) message->total, &writing->ingest, &error);
    if (rc == ERROR_BUSY && clock_monotonic_ms() < writing->busy_until_ms)
        rpc_call_delay(call, BUSY_RETRY_MS, RPC_LANE_TXN, take);
    else if (rc != 0)
        fail(call, &error);
    else
        act(call);
}

static void first_message(struct rpc_call *call)
{
    const Request *message = rpc_call_request(call);
    struct writing *writing = rpc_call_state(call);
    struct error error = {0};
    if (!message) {
        end(call);
        return;
    }
    int rc = check_message(message, writing, &error);
    if (rc == 0 && !message->ref[0])
        rc = error_set(&error, ERROR_INVALID, "the ref is missing");
    if (rc == 0 && strlen(message->ref) > MAX_REF_BYTES)
        rc = error_set(&error, ERROR_INVALID, "the ref is longer than %d bytes", MAX_REF_BYTES);
    if (rc == 0)
        rc = read_expected(writing, message, &error);
    if (rc != 0) {
        fail(call, &error);
        return;
    }
    writing->ref = mem_strdup(message->ref);
    writing->busy_until_ms = clock_monotonic_ms() + BUSY_MS;
    take(call);
}

void content_write(struct rpc_call *call)
{
    rpc_call_set_state(call, mem_alloc(sizeof(struct writing)), writing_free);
    rpc_call_receive(call, RPC_LANE_TXN, first_message);
}
