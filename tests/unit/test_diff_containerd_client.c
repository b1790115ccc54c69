/* SPDX-License-Identifier: Apache-2.0 */
#include <google/protobuf/empty.pb-c.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/mem.h"
#include "content/service.h"
#include "diff/containerd_client.h"
#include "leases.pb-c.h"
#include "rpc/listener.h"
#include "rpc/message.h"
#include "tests/unit/content_fixture.h"

/* containerd's part is played by our own Content service and by a Leases service of this test. */

enum { MIB = 1 << 20 };

typedef Containerd__Services__Leases__V1__CreateRequest create_request;
typedef Containerd__Services__Leases__V1__CreateResponse create_response;
typedef Containerd__Services__Leases__V1__DeleteRequest delete_request;
typedef Containerd__Services__Leases__V1__AddResourceRequest add_request;

/* What the Leases service was asked, and what it is to answer. */
static struct lease_calls {
    enum error_code fail; /* every call fails so */
    bool nameless;        /* leases have no id */
    char namespace_name[64];
    char lease[64]; /* of the header */
    char expire[64];
    char deleted[64];
    char kept[DIGEST_TEXT_SIZE + 64]; /* lease, type and id of the last resource */
    unsigned kept_count;
} leases; /* under lock */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct rpc_server *server;
static struct rpc_listener *listener;
static struct containerd_client *client;
static char *path;

static const struct labels no_labels = {0};
static const struct containerd_scope scope = {.namespace_name = "tests", .lease = "ours"};

static struct lease_calls asked(void)
{
    (void) pthread_mutex_lock(&lock);
    struct lease_calls copy = leases;
    (void) pthread_mutex_unlock(&lock);
    return copy;
}

static void let_leases(enum error_code fail, bool nameless)
{
    (void) pthread_mutex_lock(&lock);
    leases.fail = fail;
    leases.nameless = nameless;
    (void) pthread_mutex_unlock(&lock);
}

static void note_headers(struct rpc_call *call)
{
    const char *namespace_name = rpc_call_header(call, "containerd-namespace");
    const char *lease = rpc_call_header(call, "containerd-lease");
    (void) snprintf(leases.namespace_name, sizeof leases.namespace_name, "%s",
                    namespace_name ? namespace_name : "none");
    (void) snprintf(leases.lease, sizeof leases.lease, "%s", lease ? lease : "none");
}

/* Ends the call as the test wants it; response is of success. */
static void answer(struct rpc_call *call, const ProtobufCMessage *response)
{
    struct error error = {0};
    (void) pthread_mutex_lock(&lock);
    note_headers(call);
    enum error_code fail = leases.fail;
    (void) pthread_mutex_unlock(&lock);
    if (fail == 0) {
        rpc_call_reply(call, response);
        return;
    }
    (void) error_set(&error, fail, "as asked");
    rpc_call_fail(call, &error);
}

static void create_lease(struct rpc_call *call)
{
    const create_request *request = rpc_call_request(call);
    create_response response = CONTAINERD__SERVICES__LEASES__V1__CREATE_RESPONSE__INIT;
    Containerd__Services__Leases__V1__Lease lease = CONTAINERD__SERVICES__LEASES__V1__LEASE__INIT;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    rpc_labels_read(request->labels, request->n_labels, &labels);
    const char *expire = labels_get(&labels, "containerd.io/gc.expire");
    (void) pthread_mutex_lock(&lock);
    (void) snprintf(leases.expire, sizeof leases.expire, "%s", expire ? expire : "");
    lease.id = (char *) (leases.nameless ? "" : "lease-1");
    (void) pthread_mutex_unlock(&lock);
    response.lease = &lease;
    answer(call, &response.base);
}

static const Google__Protobuf__Empty empty = GOOGLE__PROTOBUF__EMPTY__INIT;

static void delete_lease(struct rpc_call *call)
{
    const delete_request *request = rpc_call_request(call);
    (void) pthread_mutex_lock(&lock);
    (void) snprintf(leases.deleted, sizeof leases.deleted, "%s", request->id);
    (void) pthread_mutex_unlock(&lock);
    answer(call, &empty.base);
}

static void add_resource(struct rpc_call *call)
{
    const add_request *request = rpc_call_request(call);
    (void) pthread_mutex_lock(&lock);
    (void) snprintf(leases.kept, sizeof leases.kept, "%s %s %s", request->id,
                    request->resource->type, request->resource->id);
    leases.kept_count++;
    (void) pthread_mutex_unlock(&lock);
    answer(call, &empty.base);
}

#define LEASES(name, type, function)                                                               \
    {                                                                                              \
        .path = "/containerd.services.leases.v1.Leases/" name,                                     \
        .request = &containerd__services__leases__v1__##type##__descriptor, .step = (function),    \
        .lane = RPC_LANE_QUICK                                                                     \
    }

static const struct rpc_method lease_methods[] = {
    LEASES("Create", create_request, create_lease),
    LEASES("Delete", delete_request, delete_lease),
    LEASES("AddResource", add_resource_request, add_resource),
};

static int set_up(void **state)
{
    struct rpc_server_options options = {0};
    (void) pthread_mutex_lock(&lock);
    memset(&leases, 0, sizeof leases);
    (void) pthread_mutex_unlock(&lock);
    int rc = content_fixture_set_up(state);
    path = mem_printf("%s/containerd.sock", fixture.scratch.path);
    if (rc == 0)
        rc = rpc_server_new(&options, &server, NULL);
    if (rc != 0)
        return rc;
    content_service_add(server, fixture.content);
    rpc_server_add(server, lease_methods, sizeof lease_methods / sizeof lease_methods[0], NULL);
    rc = rpc_server_start(server, NULL);
    if (rc == 0)
        rc = rpc_listener_open(path, server, &listener, NULL);
    return rc == 0 ? containerd_client_new(path, &client, NULL) : rc;
}

static void stop_server(void)
{
    rpc_listener_close(listener);
    listener = NULL;
    if (server)
        (void) rpc_server_stop(server, 10000, -1);
    rpc_server_free(server);
    server = NULL;
}

static int tear_down(void **state)
{
    containerd_client_free(client);
    stop_server();
    mem_free(&path);
    return content_fixture_tear_down(state);
}

static uint8_t *pattern(size_t size)
{
    uint8_t *bytes = mem_alloc(size + 1);
    for (size_t i = 0; i < size; i++)
        bytes[i] = (uint8_t) (i * 31 + (i >> 8) + (i >> 16));
    return bytes;
}

/* Writes all in pieces of about the size. */
static int add(struct containerd_writer *writer, const uint8_t *bytes, size_t size, size_t piece,
               struct error *error)
{
    struct layer_sink *sink = containerd_writer_sink(writer);
    for (size_t done = 0, count = 0; done < size; done += count) {
        count = piece + done % 7;
        count = count < size - done ? count : size - done;
        int rc = sink->write(sink, bytes + done, count, error);
        if (rc != 0)
            return rc;
    }
    return 0;
}

/* Writes the bytes as a blob. */
static int put(const char *ref, const uint8_t *bytes, size_t size, size_t piece,
               const struct labels *labels)
{
    struct digest digest = digest_of_bytes(DIGEST_SHA256, bytes, size);
    owned(containerd_writer_clear) struct containerd_writer *writer = NULL;
    struct error error = {0};
    int rc = containerd_writer_open(client, &scope, ref, &writer, &error);
    if (rc == 0)
        rc = add(writer, bytes, size, piece, &error);
    if (rc == 0)
        rc = containerd_writer_commit(writer, &digest, size, labels, &error);
    if (rc != 0)
        print_message("%s\n", error.message);
    return rc;
}

/* Reads the blob in pieces; it must be these bytes. */
static void expect_blob(const uint8_t *bytes, size_t size, size_t piece)
{
    struct digest digest = digest_of_bytes(DIGEST_SHA256, bytes, size);
    owned(layer_source_close) struct layer_source *source = NULL;
    uint8_t *buffer = mem_alloc(piece);
    size_t done = 0;
    ssize_t count = 0;
    assert_int_equal(containerd_blob_open(client, &scope, &digest, &source, NULL), 0);
    while ((count = source->read(source, buffer, piece, NULL)) > 0) {
        assert_true((size_t) count <= size - done);
        assert_memory_equal(buffer, bytes + done, (size_t) count);
        done += (size_t) count;
    }
    assert_int_equal(count, 0);
    assert_int_equal(done, size);
    assert_int_equal(source->read(source, buffer, piece, NULL), 0);
    free(buffer);
}

/* Waits until nothing is left of any ingest: a call that was cut ends behind our back. */
static void expect_no_ingests(void)
{
    for (int i = 0; i < 500 && count_entries(fixture.root.ingest_fd) > 0; i++)
        sleep_ms(10);
    assert_no_ingests();
}

static void expect_label(const struct digest *digest, const char *key, const char *value)
{
    struct blob_record record = BLOB_RECORD_NULL;
    assert_int_equal(content_info(fixture.content, digest, &record, NULL), 0);
    const char *found = labels_get(&record.labels, key);
    if (value)
        assert_string_equal(found ? found : "none", value);
    else
        assert_null(found);
    labels_clear(&record.labels);
}

static void a_blob_is_read_from_start_to_end(void **state)
{
    (void) state;
    const size_t size = 50 * MIB + 12345;
    uint8_t *bytes = pattern(size);
    assert_int_equal(put("big", bytes, size, 300000, &no_labels), 0);
    expect_blob(bytes, size, 65536);
    expect_blob(bytes, size, 3 * MIB + 1);
    free(bytes);
}

static void blobs_of_every_size_are_written_and_read(void **state)
{
    static const size_t sizes[] = {0, 1, MIB - 1, MIB, MIB + 1, 3 * MIB};
    (void) state;
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) {
        uint8_t *bytes = pattern(sizes[i]);
        struct digest digest = digest_of_bytes(DIGEST_SHA256, bytes, sizes[i]);
        assert_int_equal(put("ref", bytes, sizes[i], i % 2 ? 5 * MIB : 4096, &no_labels), 0);
        assert_int_equal(record_of(&digest).size, sizes[i]);
        expect_blob(bytes, sizes[i], 10000);
        free(bytes);
    }
    expect_no_ingests();
    assert_int_equal(asked().kept_count, 0);
}

static void a_blob_that_is_not_there_is_named(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("nothing");
    char text[DIGEST_TEXT_SIZE];
    struct layer_source *source = NULL;
    struct error error = {0};
    digest_format(&digest, text);
    assert_int_equal(containerd_blob_open(client, &scope, &digest, &source, &error),
                     ERROR_NOT_FOUND);
    assert_null(source);
    assert_non_null(strstr(error.message, text));
}

static void reading_stops_when_it_is_cancelled(void **state)
{
    (void) state;
    const size_t size = 10 * MIB;
    uint8_t *bytes = pattern(size);
    struct digest digest = digest_of_bytes(DIGEST_SHA256, bytes, size);
    struct cancel cancel = {0};
    const struct containerd_scope cancelled = {.namespace_name = "tests", .cancel = &cancel};
    owned(layer_source_close) struct layer_source *source = NULL;
    assert_int_equal(put("ref", bytes, size, MIB, &no_labels), 0);
    assert_int_equal(containerd_blob_open(client, &cancelled, &digest, &source, NULL), 0);
    assert_true(source->read(source, bytes, 100, NULL) > 0);
    cancel_request(&cancel);
    ssize_t count = 0;
    while ((count = source->read(source, bytes, size, NULL)) > 0) /* what is here already */
        ;
    assert_true(count == ERROR_CANCELLED);
    free(bytes);
}

static void labels_come_with_the_commit(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("text");
    owned(labels_clear) struct labels labels = LABELS_NULL;
    labels_set(&labels, "containerd.io/uncompressed", "sha256:1");
    labels_set(&labels, "other", "label");
    assert_int_equal(put("ref", (const uint8_t *) "text", 4, 1, &labels), 0);
    expect_label(&digest, "containerd.io/uncompressed", "sha256:1");
    expect_label(&digest, "other", "label");
    assert_true(blob_holds(&digest, "text"));
}

static void a_blob_that_is_there_gets_the_labels_that_it_lacks(void **state)
{
    (void) state;
    char kept[sizeof leases.kept];
    char text[DIGEST_TEXT_SIZE];
    struct digest digest = make_blob("text");
    owned(labels_clear) struct labels labels = LABELS_NULL;
    digest_format(&digest, text);
    (void) snprintf(kept, sizeof kept, "ours content %s", text);
    labels_set(&labels, "containerd.io/uncompressed", "sha256:1");
    assert_int_equal(put("ref", (const uint8_t *) "text", 4, 1, &labels), 0);
    expect_label(&digest, "containerd.io/uncompressed", "sha256:1");
    assert_string_equal(asked().kept, kept);

    /* and keeps those that it has */
    labels_set(&labels, "containerd.io/uncompressed", "sha256:2");
    labels_set(&labels, "a.b/c.d", "new");
    assert_int_equal(put("ref", (const uint8_t *) "text", 4, 1, &labels), 0);
    expect_label(&digest, "containerd.io/uncompressed", "sha256:1");
    expect_label(&digest, "a.b/c.d", "new");
    assert_int_equal(asked().kept_count, 2);
    assert_true(blob_holds(&digest, "text"));
    expect_no_ingests();
}

static void a_blob_that_is_there_stays_unused_without_the_lease(void **state)
{
    (void) state;
    (void) make_blob("text");
    let_leases(ERROR_NOT_FOUND, false);
    assert_int_equal(put("ref", (const uint8_t *) "text", 4, 1, &no_labels), ERROR_NOT_FOUND);
}

static void a_ref_with_old_data_begins_anew(void **state)
{
    (void) state;
    static const char *const texts[] = {"", "new", "something that is longer"};
    for (int i = 0; i < 3; i++) {
        struct ingest *ingest = NULL;
        struct digest digest = digest_of_text(texts[i]);
        assert_int_equal(ingest_take(fixture.content, "ref", NULL, i == 1 ? 8 : 0, &ingest, NULL),
                         0);
        assert_int_equal(append_text(ingest, "old data"), 0);
        ingest_release(ingest);
        assert_int_equal(put("ref", (const uint8_t *) texts[i], strlen(texts[i]), 100, &no_labels),
                         0);
        assert_true(blob_holds(&digest, texts[i]));
    }
    expect_no_ingests();
}

static void *release_later(void *ingest)
{
    sleep_ms(1500);
    ingest_release(ingest);
    return NULL;
}

static void a_busy_ref_is_waited_for(void **state)
{
    (void) state;
    struct ingest *ingest = NULL;
    pthread_t thread;
    struct digest digest = digest_of_text("text");
    assert_int_equal(ingest_take(fixture.content, "ref", NULL, 0, &ingest, NULL), 0);
    assert_int_equal(pthread_create(&thread, NULL, release_later, ingest), 0);
    assert_int_equal(put("ref", (const uint8_t *) "text", 4, 1, &no_labels), 0);
    (void) pthread_join(thread, NULL);
    assert_true(blob_holds(&digest, "text"));
}

static void *cancel_later(void *cancel)
{
    sleep_ms(700);
    cancel_request(cancel);
    return NULL;
}

static void a_busy_ref_is_left_alone(void **state)
{
    (void) state;
    struct ingest *ingest = NULL;
    struct containerd_writer *writer = NULL;
    struct cancel cancel = {0};
    const struct containerd_scope cancelled = {.namespace_name = "tests", .cancel = &cancel};
    pthread_t thread;
    int64_t start_ms = clock_monotonic_ms();
    assert_int_equal(ingest_take(fixture.content, "ref", NULL, 0, &ingest, NULL), 0);
    assert_int_equal(append_text(ingest, "theirs"), 0);
    assert_int_equal(pthread_create(&thread, NULL, cancel_later, &cancel), 0);
    assert_int_equal(containerd_writer_open(client, &cancelled, "ref", &writer, NULL),
                     ERROR_CANCELLED);
    assert_true(clock_monotonic_ms() - start_ms < 5000);
    (void) pthread_join(thread, NULL);
    assert_null(writer);
    assert_int_equal(ingest_commit(ingest, &no_labels, NULL, NULL), 0);
    ingest_release(ingest);
    struct digest digest = digest_of_text("theirs");
    assert_true(blob_holds(&digest, "theirs"));
}

static void giving_up_leaves_nothing(void **state)
{
    (void) state;
    uint8_t *bytes = pattern(3 * MIB);
    struct cancel cancel = {0};
    const struct containerd_scope cancelled = {.namespace_name = "tests", .cancel = &cancel};
    for (int i = 0; i < 3; i++) {
        struct containerd_writer *writer = NULL;
        assert_int_equal(containerd_writer_open(client, &cancelled, "ref", &writer, NULL), 0);
        if (i > 0)
            assert_int_equal(add(writer, bytes, 3 * MIB, 100000, NULL), 0);
        if (i > 1)
            cancel_request(&cancel);
        containerd_writer_clear(&writer);
        expect_no_ingests();
    }
    free(bytes);
}

static void writing_stops_when_it_is_cancelled(void **state)
{
    (void) state;
    uint8_t *bytes = pattern(3 * MIB);
    struct cancel cancel = {0};
    const struct containerd_scope cancelled = {.namespace_name = "tests", .cancel = &cancel};
    struct containerd_writer *writer = NULL;
    assert_int_equal(containerd_writer_open(client, &cancelled, "ref", &writer, NULL), 0);
    assert_int_equal(add(writer, bytes, MIB, 100000, NULL), 0);
    cancel_request(&cancel);
    assert_int_equal(add(writer, bytes, 3 * MIB, 100000, NULL), ERROR_CANCELLED);
    assert_int_equal(add(writer, bytes, MIB, 100000, NULL), ERROR_CANCELLED);
    containerd_writer_clear(&writer);
    expect_no_ingests();
    free(bytes);
}

static void a_wrong_commit_leaves_nothing(void **state)
{
    (void) state;
    struct digest right = digest_of_text("text");
    struct digest wrong = digest_of_text("other");
    for (int i = 0; i < 2; i++) {
        struct containerd_writer *writer = NULL;
        struct error error = {0};
        assert_int_equal(containerd_writer_open(client, &scope, "some-ref", &writer, NULL), 0);
        assert_int_equal(add(writer, (const uint8_t *) "text", 4, 1, NULL), 0);
        assert_int_equal(
            containerd_writer_commit(writer, i ? &right : &wrong, i ? 5 : 4, &no_labels, &error),
            ERROR_PRECONDITION);
        assert_non_null(strstr(error.message, "some-ref"));
        containerd_writer_clear(&writer);
        expect_no_ingests();
    }
    assert_int_equal(open_blob(&right), ERROR_NOT_FOUND);
}

static void a_lease_is_made_and_deleted(void **state)
{
    (void) state;
    owned(mem_free) char *id = NULL;
    struct tm parts = {0};
    assert_int_equal(containerd_lease_new(client, &scope, 3600, &id, NULL), 0);
    assert_string_equal(id, "lease-1");
    assert_string_equal(asked().namespace_name, "tests");
    assert_string_equal(asked().lease, "none");
    struct lease_calls calls = asked();
    const char *end = strptime(calls.expire, "%Y-%m-%dT%H:%M:%SZ", &parts);
    assert_true(end && *end == '\0');
    assert_in_range(timegm(&parts) - time(NULL), 3590, 3601);

    assert_int_equal(containerd_lease_delete(client, &scope, id, NULL), 0);
    assert_string_equal(asked().deleted, "lease-1");
    assert_string_equal(asked().lease, "ours");
}

static void a_lease_without_an_id_is_refused(void **state)
{
    (void) state;
    char *id = NULL;
    let_leases(0, true);
    assert_int_equal(containerd_lease_new(client, &scope, 3600, &id, NULL), ERROR_IO);
    assert_null(id);
}

static void errors_of_containerd_are_errors_of_ours(void **state)
{
    static const struct {
        enum error_code theirs, ours;
    } cases[] = {{ERROR_NOT_FOUND, ERROR_NOT_FOUND},
                 {ERROR_INVALID, ERROR_INVALID},
                 {ERROR_UNIMPLEMENTED, ERROR_IO},
                 {ERROR_CANCELLED, ERROR_BUSY},
                 {ERROR_BUSY, ERROR_BUSY}};
    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct error error = {0};
        let_leases(cases[i].theirs, false);
        assert_int_equal(containerd_lease_delete(client, &scope, "lease-1", &error), cases[i].ours);
        assert_string_equal(error.message, "cannot delete the lease lease-1: as asked");
    }
}

static void a_containerd_that_is_away_is_named(void **state)
{
    (void) state;
    struct digest digest = digest_of_text("text");
    struct layer_source *source = NULL;
    struct containerd_writer *writer = NULL;
    char *id = NULL;
    owned(mem_free) char *text =
        mem_printf("containerd at %s cannot be reached: No such file or directory; set "
                   "[containerd] address",
                   path);
    stop_server();
    for (int i = 0; i < 3; i++) {
        struct error error = {0};
        int64_t start_ms = clock_monotonic_ms();
        int rc = i == 0   ? containerd_blob_open(client, &scope, &digest, &source, &error)
                 : i == 1 ? containerd_writer_open(client, &scope, "ref", &writer, &error)
                          : containerd_lease_new(client, &scope, 3600, &id, &error);
        assert_int_equal(rc, ERROR_BUSY);
        if (!strstr(error.message, text))
            fail_msg("%s", error.message);
        assert_true(clock_monotonic_ms() - start_ms < 5000);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_blob_is_read_from_start_to_end),
        TEST(blobs_of_every_size_are_written_and_read),
        TEST(a_blob_that_is_not_there_is_named),
        TEST(reading_stops_when_it_is_cancelled),
        TEST(labels_come_with_the_commit),
        TEST(a_blob_that_is_there_gets_the_labels_that_it_lacks),
        TEST(a_blob_that_is_there_stays_unused_without_the_lease),
        TEST(a_ref_with_old_data_begins_anew),
        TEST(a_busy_ref_is_waited_for),
        TEST(a_busy_ref_is_left_alone),
        TEST(giving_up_leaves_nothing),
        TEST(writing_stops_when_it_is_cancelled),
        TEST(a_wrong_commit_leaves_nothing),
        TEST(a_lease_is_made_and_deleted),
        TEST(a_lease_without_an_id_is_refused),
        TEST(errors_of_containerd_are_errors_of_ours),
        TEST(a_containerd_that_is_away_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
