/* SPDX-License-Identifier: Apache-2.0 */
#include "content/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "content.pb-c.h"
#include "content/ingest.h"
#include "rpc/listing.h"
#include "rpc/message.h"

typedef Containerd__Services__Content__V1__Info InfoMessage;
typedef Containerd__Services__Content__V1__InfoRequest InfoRequest;
typedef Containerd__Services__Content__V1__UpdateRequest UpdateRequest;
typedef Containerd__Services__Content__V1__ListContentRequest ListRequest;
typedef Containerd__Services__Content__V1__DeleteContentRequest DeleteRequest;
typedef Containerd__Services__Content__V1__ReadContentRequest ReadRequest;
typedef Containerd__Services__Content__V1__StatusRequest StatusRequest;
typedef Containerd__Services__Content__V1__ListStatusesRequest ListStatusesRequest;
typedef Containerd__Services__Content__V1__AbortRequest AbortRequest;
typedef Containerd__Services__Content__V1__InfoResponse InfoResponse;
typedef Containerd__Services__Content__V1__ListContentResponse ListResponse;
typedef Containerd__Services__Content__V1__ReadContentResponse ReadResponse;
typedef Containerd__Services__Content__V1__Status StatusMessage;
typedef Containerd__Services__Content__V1__StatusResponse StatusResponse;
typedef Containerd__Services__Content__V1__ListStatusesResponse ListStatusesResponse;

/* An answer of ListStatuses beyond this would be refused by the client. */
#define STATUSES_BYTES ((size_t) 12 << 20)
/* Data of one message of Read. */
#define READ_CHUNK ((uint64_t) 1 << 20)
/* Most of them wait for their clients, which costs little. */
#define WRITERS_MAX 4096
/* As much as the completion thread copies for one call. */
#define READ_HOT (64 << 10)

/* A record as a message, which borrows the record's strings. */
struct info {
    InfoMessage message;
    Google__Protobuf__Timestamp created;
    Google__Protobuf__Timestamp updated;
    char digest[DIGEST_TEXT_SIZE];
    struct rpc_labels labels;
};

static void info_fill(struct info *info, const struct blob_record *record)
{
    digest_format(&record->digest, info->digest);
    rpc_time_fill(&info->created, record->created);
    rpc_time_fill(&info->updated, record->updated);
    rpc_labels_fill(&info->labels, &record->labels,
                    &containerd__services__content__v1__info__labels_entry__descriptor);
    containerd__services__content__v1__info__init(&info->message);
    info->message.digest = info->digest;
    info->message.size = (int64_t) record->size;
    info->message.created_at = &info->created;
    info->message.updated_at = &info->updated;
    info->message.n_labels = info->labels.count;
    info->message.labels =
        (Containerd__Services__Content__V1__Info__LabelsEntry **) info->labels.pointers;
}

/* The answers of Info and Update are one on the wire. */
static void reply_info(struct rpc_call *call, const struct blob_record *record)
{
    InfoResponse response = CONTAINERD__SERVICES__CONTENT__V1__INFO_RESPONSE__INIT;
    struct info info;
    info_fill(&info, record);
    response.info = &info.message;
    rpc_call_reply(call, &response.base);
    rpc_labels_clear(&info.labels);
}

static void info(struct rpc_call *call)
{
    const InfoRequest *message = rpc_call_request(call);
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    struct digest digest;
    struct error error = {0};
    int rc = digest_parse(message->digest, &digest, &error);
    if (rc == 0)
        rc = content_info(rpc_call_service(call), &digest, &record, &error);
    if (rc != 0)
        rpc_fail_logged(call, "Info", message->digest, &error);
    else
        reply_info(call, &record);
}

static void update(struct rpc_call *call)
{
    const UpdateRequest *message = rpc_call_request(call);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    owned(blob_record_clear) struct blob_record record = BLOB_RECORD_NULL;
    const InfoMessage none = CONTAINERD__SERVICES__CONTENT__V1__INFO__INIT;
    const InfoMessage *wanted = message->info ? message->info : &none;
    struct digest digest;
    struct error error = {0};
    int rc = digest_parse(wanted->digest, &digest, &error);
    if (rc == 0) {
        rpc_labels_read(wanted->labels, wanted->n_labels, &labels);
        rc = content_update(rpc_call_service(call), &digest, &labels,
                            message->update_mask ? message->update_mask->paths : NULL,
                            message->update_mask ? message->update_mask->n_paths : 0, &record,
                            &error);
    }
    if (rc != 0)
        rpc_fail_logged(call, "Update", wanted->digest, &error);
    else
        reply_info(call, &record);
}

static void delete_blob(struct rpc_call *call)
{
    const DeleteRequest *message = rpc_call_request(call);
    struct digest digest;
    struct error error = {0};
    int rc = digest_parse(message->digest, &digest, &error);
    if (rc == 0)
        rc = content_delete(rpc_call_service(call), &digest, &error);
    if (rc != 0)
        rpc_fail_logged(call, "Delete", message->digest, &error);
    else
        rpc_reply_empty(call);
}

/* A List under way, between two messages. */
struct listing {
    struct rpc_listing common;
    struct filter_list *filters;
    struct store_blob_position position;
    struct blob_record records[RPC_LISTING_BATCH]; /* as many as common counts */
};

static void listing_reset(struct listing *listing)
{
    for (size_t i = 0; i < listing->common.count; i++)
        blob_record_clear(&listing->records[i]);
    listing->common.count = 0;
}

static void listing_free(void *state)
{
    struct listing *listing = state;
    listing_reset(listing);
    filter_list_free(listing->filters);
    free(listing);
}

static int listing_fill(struct rpc_call *call, struct rpc_listing *common, struct error *error)
{
    struct listing *listing = rpc_call_state(call);
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int answer = content_list_begin(rpc_call_service(call), &txn, error);
    if (answer != 0)
        return answer;
    size_t bytes;
    listing_reset(listing);
    do {
        struct blob_record *record = &listing->records[common->count];
        answer = content_list_next(&txn, listing->filters, &common->patience, &listing->position,
                                   record, error);
        bytes = answer == FILTER_MATCH ? rpc_labels_bytes(&record->labels) : 0;
    } while (rpc_listing_goes_on(common, answer, bytes));
    return answer;
}

static void listing_send(struct rpc_call *call, struct rpc_listing *common, enum rpc_lane lane,
                         rpc_step *next)
{
    ListResponse response = CONTAINERD__SERVICES__CONTENT__V1__LIST_CONTENT_RESPONSE__INIT;
    const struct listing *listing = rpc_call_state(call);
    struct info infos[RPC_LISTING_BATCH];
    InfoMessage *pointers[RPC_LISTING_BATCH];
    size_t count = common->count;
    for (size_t i = 0; i < count; i++) {
        info_fill(&infos[i], &listing->records[i]);
        pointers[i] = &infos[i].message;
    }
    response.n_info = count;
    response.info = pointers;
    rpc_call_send(call, &response.base, lane, next);
    for (size_t i = 0; i < count; i++)
        rpc_labels_clear(&infos[i].labels);
}

static void list(struct rpc_call *call)
{
    static const struct rpc_listing_kind kind = {listing_fill, listing_send};
    const ListRequest *message = rpc_call_request(call);
    struct filter_list *filters = NULL;
    struct error error = {0};
    if (filter_list_parse(message->filters, message->n_filters, &filters, &error) != 0) {
        rpc_fail_logged(call, "List", "", &error);
        return;
    }
    struct listing *listing = mem_alloc(sizeof *listing);
    listing->common.kind = &kind;
    listing->filters = filters;
    rpc_call_set_state(call, listing, listing_free);
    rpc_listing_step(call);
}

/* A Read under way, between two messages. */
struct reading {
    struct blob_reader reader;
    uint64_t start;
    uint64_t next;
    uint64_t end;
};

static void reading_free(void *state)
{
    struct reading *reading = state;
    blob_reader_close(&reading->reader);
    free(reading);
}

static void fail_read(struct rpc_call *call, const struct error *error)
{
    const ReadRequest *message = rpc_call_request(call);
    rpc_fail_logged(call, "Read", message->digest, error);
}

static void read_step(struct rpc_call *call)
{
    struct reading *reading = rpc_call_state(call);
    uint64_t left = reading->end - reading->next;
    size_t size = (size_t) (left < READ_CHUNK ? left : READ_CHUNK);
    struct error error = {0};
    if (cancel_requested(rpc_call_cancel(call))) {
        (void) error_set(&error, ERROR_CANCELLED, "the client has gone");
        fail_read(call, &error);
        return;
    }
    struct rpc_payload *payload = rpc_payload_new(size);
    if (blob_reader_read(&reading->reader, rpc_payload_data(payload), size, reading->next,
                         &error) != 0) {
        rpc_payload_free(payload);
        fail_read(call, &error);
        return;
    }
    ReadResponse response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    response.offset = (int64_t) (reading->next - reading->start);
    reading->next += size;
    if (reading->next < reading->end)
        rpc_call_send_payload(call, &response.base, 2, payload, RPC_LANE_BULK, read_step);
    else
        rpc_call_reply_payload(call, &response.base, 2, payload);
}

/* What of a blob of size bytes is asked for (contract 6.1). */
static int choose_range(const ReadRequest *message, uint64_t size, struct reading *reading,
                        struct error *error)
{
    uint64_t start = message->offset < 0 ? 0 : (uint64_t) message->offset;
    if (start > size)
        return error_set(error, ERROR_OUT_OF_RANGE, "offset %llu is beyond the end, which is %llu",
                         (unsigned long long) start, (unsigned long long) size);
    uint64_t left = size - start;
    bool clipped = message->size > 0 && (uint64_t) message->size < left;
    reading->start = reading->next = start;
    reading->end = start + (clipped ? (uint64_t) message->size : left);
    return 0;
}

static void read_from_disk(struct rpc_call *call)
{
    const ReadRequest *message = rpc_call_request(call);
    struct reading *reading = mem_alloc(sizeof *reading);
    struct digest digest;
    struct error error = {0};
    reading->reader = BLOB_READER_NULL;
    rpc_call_set_state(call, reading, reading_free);
    int rc = digest_parse(message->digest, &digest, &error);
    if (rc == 0)
        rc = blob_reader_open(rpc_call_service(call), &digest, rpc_call_cancel(call),
                              &reading->reader, &error);
    if (rc == 0)
        rc = choose_range(message, reading->reader.size, reading, &error);
    if (rc != 0)
        fail_read(call, &error);
    else if (reading->next == reading->end)
        rpc_call_finish(call);
    else
        read_step(call);
}

/* Short reads of what is in memory are answered at once: containerd sends one for each 32 KiB of a
 * blob (contract 6.4). */
static bool read_hot(struct rpc_call *call)
{
    const ReadRequest *message = rpc_call_request(call);
    owned(blob_reader_close) struct blob_reader reader = BLOB_READER_NULL;
    struct reading range = {0};
    struct digest digest;
    if (message->size <= 0 || message->size > READ_HOT ||
        digest_parse(message->digest, &digest, NULL) != 0 ||
        !blob_reader_open_hot(rpc_call_service(call), &digest, &reader) ||
        choose_range(message, reader.size, &range, NULL) != 0 || range.start == range.end)
        return false;
    size_t size = (size_t) (range.end - range.start);
    struct rpc_payload *payload = rpc_payload_new(size);
    if (!blob_reader_read_hot(&reader, rpc_payload_data(payload), size, range.start)) {
        rpc_payload_free(payload);
        return false;
    }
    const ReadResponse response = CONTAINERD__SERVICES__CONTENT__V1__READ_CONTENT_RESPONSE__INIT;
    rpc_call_reply_payload(call, &response.base, 2, payload);
    return true;
}

static void read_blob(struct rpc_call *call)
{
    if (!read_hot(call))
        rpc_call_continue(call, RPC_LANE_BULK, read_from_disk);
}

/* A status as a message, which borrows the strings. */
struct status_message {
    StatusMessage message;
    Google__Protobuf__Timestamp started;
    Google__Protobuf__Timestamp updated;
};

static void status_fill(struct status_message *out, const struct ingest_status *status)
{
    rpc_time_fill(&out->started, status->started);
    rpc_time_fill(&out->updated, status->updated);
    containerd__services__content__v1__status__init(&out->message);
    out->message.started_at = &out->started;
    out->message.updated_at = &out->updated;
    out->message.ref = status->ref;
    out->message.offset = (int64_t) status->offset;
    out->message.total = (int64_t) status->total;
    out->message.expected = status->expected;
}

static void status(struct rpc_call *call)
{
    const StatusRequest *message = rpc_call_request(call);
    owned(ingest_status_clear) struct ingest_status found = INGEST_STATUS_NULL;
    struct status_message filled;
    StatusResponse response = CONTAINERD__SERVICES__CONTENT__V1__STATUS_RESPONSE__INIT;
    struct error error = {0};
    if (content_ingest_status(rpc_call_service(call), message->ref, &found, &error) != 0) {
        rpc_fail_logged(call, "Status", message->ref, &error);
        return;
    }
    status_fill(&filled, &found);
    response.status = &filled.message;
    rpc_call_reply(call, &response.base);
}

static int check_statuses(const struct ingest_status *list, size_t count, struct error *error)
{
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += strlen(list[i].ref) + strlen(list[i].expected) + 64;
    if (bytes <= STATUSES_BYTES)
        return 0;
    return error_set(error, ERROR_NO_SPACE,
                     "the %zu ingests do not fit into one message: use filters", count);
}

static void reply_statuses(struct rpc_call *call, const struct ingest_status *list, size_t count)
{
    ListStatusesResponse response = CONTAINERD__SERVICES__CONTENT__V1__LIST_STATUSES_RESPONSE__INIT;
    owned(mem_free) struct status_message *messages = mem_alloc_array(count, sizeof *messages);
    owned(mem_free) StatusMessage **pointers =
        (StatusMessage **) mem_alloc_array(count, sizeof *pointers);
    for (size_t i = 0; i < count; i++) {
        status_fill(&messages[i], &list[i]);
        pointers[i] = &messages[i].message;
    }
    response.n_statuses = count;
    response.statuses = pointers;
    rpc_call_reply(call, &response.base);
}

static void list_statuses_until(struct rpc_call *call, bool costly);

static void list_statuses_costly(struct rpc_call *call)
{
    list_statuses_until(call, true);
}

static void list_statuses_until(struct rpc_call *call, bool costly)
{
    const ListStatusesRequest *message = rpc_call_request(call);
    const struct patience patience = rpc_filter_patience(call, costly);
    owned(filter_list_clear) struct filter_list *filters = NULL;
    owned(mem_free) struct ingest_status *list = NULL;
    size_t count = 0;
    struct error error = {0};
    int rc = filter_list_parse(message->filters, message->n_filters, &filters, &error);
    if (rc == 0)
        rc = content_ingest_list(rpc_call_service(call), filters, &patience, &list, &count, &error);
    if (rc == ERROR_BUSY && costly)
        rc = rpc_filter_too_costly(&error);
    if (rc == 0)
        rc = check_statuses(list, count, &error);
    if (rc == 0)
        reply_statuses(call, list, count);
    else if (rc == ERROR_BUSY)
        rpc_call_continue(call, RPC_LANE_SEARCH, list_statuses_costly);
    else
        rpc_fail_logged(call, "ListStatuses", "", &error);
    for (size_t i = 0; i < count; i++)
        ingest_status_clear(&list[i]);
}

static void list_statuses(struct rpc_call *call)
{
    list_statuses_until(call, false);
}

static void abort_ingest(struct rpc_call *call)
{
    const AbortRequest *message = rpc_call_request(call);
    struct error error = {0};
    if (content_ingest_abort(rpc_call_service(call), message->ref, &error) != 0)
        rpc_fail_logged(call, "Abort", message->ref, &error);
    else
        rpc_reply_empty(call);
}

#define PATH(method) "/" CONTENT_SERVICE_NAME "/" method
#define TYPE(name) &containerd__services__content__v1__##name##__descriptor

static const struct rpc_method methods[] = {
    {.path = PATH("Info"), .request = TYPE(info_request), .step = info, .lane = RPC_LANE_INSTANT},
    {.path = PATH("Update"), .request = TYPE(update_request), .step = update, .lane = RPC_LANE_TXN},
    {.path = PATH("List"),
     .request = TYPE(list_content_request),
     .step = list,
     .lane = RPC_LANE_QUICK,
     .kind = RPC_SERVER_STREAM},
    {.path = PATH("Delete"),
     .request = TYPE(delete_content_request),
     .step = delete_blob,
     .lane = RPC_LANE_TXN},
    {.path = PATH("Read"),
     .request = TYPE(read_content_request),
     .step = read_blob,
     .lane = RPC_LANE_INSTANT,
     .kind = RPC_SERVER_STREAM},
    {.path = PATH("Status"),
     .request = TYPE(status_request),
     .step = status,
     .lane = RPC_LANE_INSTANT},
    {.path = PATH("ListStatuses"),
     .request = TYPE(list_statuses_request),
     .step = list_statuses,
     .lane = RPC_LANE_QUICK},
    {.path = PATH("Write"),
     .request = TYPE(write_content_request),
     .step = content_write,
     .lane = RPC_LANE_TXN,
     .large_lane = RPC_LANE_BULK,
     .max_live = WRITERS_MAX,
     .kind = RPC_BIDI,
     .payload_field = 6},
    {.path = PATH("Abort"),
     .request = TYPE(abort_request),
     .step = abort_ingest,
     .lane = RPC_LANE_TXN},
};

void content_service_add(struct rpc_server *server, struct content *content)
{
    rpc_server_add(server, methods, sizeof methods / sizeof methods[0], content);
}
