/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "snapshots.pb-c.h"

typedef Containerd__Services__Snapshots__V1__Info InfoMessage;
typedef Containerd__Services__Snapshots__V1__Info__LabelsEntry LabelMessage;
typedef Containerd__Services__Snapshots__V1__PrepareSnapshotRequest PrepareRequest;
typedef Containerd__Services__Snapshots__V1__ViewSnapshotRequest ViewRequest;
typedef Containerd__Services__Snapshots__V1__MountsRequest MountsRequest;
typedef Containerd__Services__Snapshots__V1__CommitSnapshotRequest CommitRequest;
typedef Containerd__Services__Snapshots__V1__RemoveSnapshotRequest RemoveRequest;
typedef Containerd__Services__Snapshots__V1__StatSnapshotRequest StatRequest;
typedef Containerd__Services__Snapshots__V1__UpdateSnapshotRequest UpdateRequest;
typedef Containerd__Services__Snapshots__V1__ListSnapshotsRequest ListRequest;
typedef Containerd__Services__Snapshots__V1__UsageRequest UsageRequest;
typedef Containerd__Services__Snapshots__V1__MountsResponse MountsResponse;
typedef Containerd__Services__Snapshots__V1__StatSnapshotResponse StatResponse;
typedef Containerd__Services__Snapshots__V1__ListSnapshotsResponse ListResponse;
typedef Containerd__Services__Snapshots__V1__UsageResponse UsageResponse;

/* containerd's keys are well below this; LMDB never sees them (store/keys.c). */
#define MAX_NAME_BYTES 16384
/* As containerd's own servers do. */
#define LIST_BATCH 100
/* A message of List ends with the record that reaches this size, far from the limit of 16 MiB. */
#define LIST_BYTES ((size_t) 1 << 20)
/* A step of List takes about so long, so that filters that cost much or match little hold no
 * worker. */
#define LIST_STEP_MS 20

static void fail(struct rpc_call *call, const char *what, const char *key, struct error *error)
{
    bool ours = error->code == ERROR_IO || error->code == ERROR_NO_SPACE ||
                error->code == ERROR_CORRUPT || error->code == ERROR_INTERNAL;
    if (ours)
        log_error("%s %s: %s", what, key, error->message);
    else
        log_debug("%s %s: %s", what, key, error->message);
    rpc_call_fail(call, error);
}

static int check_name(const char *what, const char *text, bool may_be_empty, struct error *error)
{
    if (!text[0] && !may_be_empty)
        return error_set(error, ERROR_INVALID, "the %s is missing", what);
    if (strlen(text) > MAX_NAME_BYTES)
        return error_set(error, ERROR_INVALID, "the %s is longer than %d bytes", what,
                         MAX_NAME_BYTES);
    return 0;
}

static int check_names(const char *snapshotter, const char *key, struct error *error)
{
    int rc = check_name("snapshotter name", snapshotter, false, error);
    return rc == 0 ? check_name("snapshot key", key, false, error) : rc;
}

/* Each message has its own type of label entry, all of one layout. */
static void read_labels(const void *entries, size_t count, struct labels *out_labels)
{
    for (size_t i = 0; i < count; i++) {
        const LabelMessage *entry = NULL;
        memcpy(&entry, (const char *) entries + i * sizeof entry, sizeof entry);
        labels_set(out_labels, entry->key, entry->value);
    }
}

/* A record as a message, which borrows the record's strings. */
struct info {
    InfoMessage message;
    Google__Protobuf__Timestamp created;
    Google__Protobuf__Timestamp updated;
    LabelMessage *labels;
    LabelMessage **label_pointers;
};

static void fill_time(Google__Protobuf__Timestamp *message, struct timestamp time)
{
    google__protobuf__timestamp__init(message);
    message->seconds = time.seconds;
    message->nanos = time.nanos;
}

static void info_fill(struct info *info, const struct snapshot_record *record)
{
    size_t count = record->labels.count;
    info->labels = mem_alloc_array(count, sizeof *info->labels);
    info->label_pointers = mem_alloc_array(count, sizeof *info->label_pointers);
    for (size_t i = 0; i < count; i++) {
        containerd__services__snapshots__v1__info__labels_entry__init(&info->labels[i]);
        info->labels[i].key = record->labels.items[i].key;
        info->labels[i].value = record->labels.items[i].value;
        info->label_pointers[i] = &info->labels[i];
    }
    fill_time(&info->created, record->created);
    fill_time(&info->updated, record->updated);
    containerd__services__snapshots__v1__info__init(&info->message);
    info->message.name = record->key;
    info->message.parent = record->parent;
    info->message.kind = (Containerd__Services__Snapshots__V1__Kind) record->kind;
    info->message.created_at = &info->created;
    info->message.updated_at = &info->updated;
    info->message.n_labels = count;
    info->message.labels = info->label_pointers;
}

static void info_clear(struct info *info)
{
    mem_free(&info->labels);
    mem_free(&info->label_pointers);
}

/* The answers of Prepare, View and Mounts are one on the wire. */
static void reply_mount(struct rpc_call *call, const struct snapshot_mount *mount)
{
    static char writable[] = "rw";
    static char read_only[] = "ro";
    static char recursive[] = "rbind";
    static char bind[] = "bind";
    char *options[] = {recursive, mount->read_only ? read_only : writable};
    Containerd__Types__Mount message = CONTAINERD__TYPES__MOUNT__INIT;
    message.type = bind;
    message.source = mount->source;
    message.n_options = 2;
    message.options = options;
    Containerd__Types__Mount *mounts[] = {&message};
    MountsResponse response = CONTAINERD__SERVICES__SNAPSHOTS__V1__MOUNTS_RESPONSE__INIT;
    response.n_mounts = 1;
    response.mounts = mounts;
    rpc_call_reply(call, &response.base);
}

static void reply_empty(struct rpc_call *call)
{
    Google__Protobuf__Empty response = GOOGLE__PROTOBUF__EMPTY__INIT;
    rpc_call_reply(call, &response.base);
}

typedef int make_snapshot(struct snapshotter *snapshotter, const struct snapshot_request *request,
                          const struct cancel *cancel, struct snapshot_mount *out_mount,
                          struct error *error);

/* The requests of Prepare and View are one on the wire, too. */
static void make(struct rpc_call *call, const char *what, make_snapshot *run)
{
    const PrepareRequest *message = rpc_call_request(call);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    struct error error = {0};
    read_labels(message->labels, message->n_labels, &labels);
    struct snapshot_request request = {.snapshotter = message->snapshotter,
                                       .key = message->key,
                                       .parent = message->parent,
                                       .labels = &labels};
    int rc = check_names(request.snapshotter, request.key, &error);
    if (rc == 0)
        rc = check_name("parent", request.parent, true, &error);
    if (rc == 0)
        rc = labels_check(&labels, &error);
    if (rc == 0)
        rc = run(rpc_call_service(call), &request, rpc_call_cancel(call), &mount, &error);
    if (rc != 0)
        fail(call, what, message->key, &error);
    else
        reply_mount(call, &mount);
}

static void prepare_now(struct rpc_call *call)
{
    make(call, "Prepare", snapshot_prepare);
}

static void view_now(struct rpc_call *call)
{
    make(call, "View", snapshot_view);
}

static void prepare(struct rpc_call *call)
{
    const PrepareRequest *message = rpc_call_request(call);
    if (snapshot_prepare_is_small(rpc_call_service(call), message->snapshotter, message->parent))
        prepare_now(call);
    else
        rpc_call_continue(call, RPC_LANE_CLONE, prepare_now);
}

static void view(struct rpc_call *call)
{
    const ViewRequest *message = rpc_call_request(call);
    struct snapshotter *snapshotter = rpc_call_service(call);
    if (snapshot_view_mode(snapshotter) == SNAPSHOT_VIEW_READONLY_BIND ||
        snapshot_prepare_is_small(snapshotter, message->snapshotter, message->parent))
        view_now(call);
    else
        rpc_call_continue(call, RPC_LANE_CLONE, view_now);
}

static void mounts(struct rpc_call *call)
{
    const MountsRequest *message = rpc_call_request(call);
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    struct error error = {0};
    int rc = check_names(message->snapshotter, message->key, &error);
    if (rc == 0)
        rc = snapshot_mounts(rpc_call_service(call), message->snapshotter, message->key, &mount,
                             &error);
    if (rc != 0)
        fail(call, "Mounts", message->key, &error);
    else
        reply_mount(call, &mount);
}

static void commit(struct rpc_call *call)
{
    const CommitRequest *message = rpc_call_request(call);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    struct error error = {0};
    read_labels(message->labels, message->n_labels, &labels);
    struct snapshot_request request = {.snapshotter = message->snapshotter,
                                       .key = message->name,
                                       .parent = message->parent,
                                       .labels = &labels};
    int rc = check_names(message->snapshotter, message->key, &error);
    if (rc == 0)
        rc = check_name("name to commit to", message->name, false, &error);
    if (rc == 0)
        rc = labels_check(&labels, &error);
    if (rc == 0)
        rc = snapshot_commit(rpc_call_service(call), &request, message->key, &error);
    if (rc != 0)
        fail(call, "Commit", message->key, &error);
    else
        reply_empty(call);
}

static void remove_snapshot(struct rpc_call *call)
{
    const RemoveRequest *message = rpc_call_request(call);
    struct error error = {0};
    int rc = check_names(message->snapshotter, message->key, &error);
    if (rc == 0)
        rc = snapshot_remove(rpc_call_service(call), message->snapshotter, message->key, &error);
    if (rc != 0)
        fail(call, "Remove", message->key, &error);
    else
        reply_empty(call);
}

/* The answers of Stat and Update are one on the wire. */
static void reply_info(struct rpc_call *call, const struct snapshot_record *record)
{
    StatResponse response = CONTAINERD__SERVICES__SNAPSHOTS__V1__STAT_SNAPSHOT_RESPONSE__INIT;
    struct info info;
    info_fill(&info, record);
    response.info = &info.message;
    rpc_call_reply(call, &response.base);
    info_clear(&info);
}

static void stat_snapshot(struct rpc_call *call)
{
    const StatRequest *message = rpc_call_request(call);
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    struct error error = {0};
    int rc = check_names(message->snapshotter, message->key, &error);
    if (rc == 0)
        rc = snapshot_stat(rpc_call_service(call), message->snapshotter, message->key, &record,
                           &error);
    if (rc != 0)
        fail(call, "Stat", message->key, &error);
    else
        reply_info(call, &record);
}

static void update(struct rpc_call *call)
{
    const UpdateRequest *message = rpc_call_request(call);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    owned(snapshot_record_clear) struct snapshot_record record = SNAPSHOT_RECORD_NULL;
    struct error error = {0};
    const InfoMessage none = CONTAINERD__SERVICES__SNAPSHOTS__V1__INFO__INIT;
    const InfoMessage *info = message->info ? message->info : &none;
    struct snapshot_request request = {
        .snapshotter = message->snapshotter, .key = info->name, .parent = "", .labels = &labels};
    int rc = check_names(request.snapshotter, request.key, &error);
    if (rc == 0) {
        read_labels(info->labels, info->n_labels, &labels);
        rc = snapshot_update(rpc_call_service(call), &request,
                             message->update_mask ? message->update_mask->paths : NULL,
                             message->update_mask ? message->update_mask->n_paths : 0, &record,
                             &error);
    }
    if (rc != 0)
        fail(call, "Update", info->name, &error);
    else
        reply_info(call, &record);
}

static void reply_usage(struct rpc_call *call, const struct snapshot_usage *usage)
{
    UsageResponse response = CONTAINERD__SERVICES__SNAPSHOTS__V1__USAGE_RESPONSE__INIT;
    response.size = (int64_t) usage->bytes;
    response.inodes = (int64_t) usage->inodes;
    rpc_call_reply(call, &response.base);
}

static void usage_walk(struct rpc_call *call)
{
    const UsageRequest *message = rpc_call_request(call);
    struct snapshot_usage usage = {0};
    struct error error = {0};
    if (snapshot_usage_measure(rpc_call_service(call), message->snapshotter, message->key,
                               rpc_call_cancel(call), &usage, &error) != 0)
        fail(call, "Usage", message->key, &error);
    else
        reply_usage(call, &usage);
}

static void usage(struct rpc_call *call)
{
    const UsageRequest *message = rpc_call_request(call);
    struct snapshot_usage figure = {0};
    struct error error = {0};
    int rc = check_names(message->snapshotter, message->key, &error);
    if (rc == 0)
        rc = snapshot_usage_known(rpc_call_service(call), message->snapshotter, message->key,
                                  &figure, &error);
    if (rc < 0)
        fail(call, "Usage", message->key, &error);
    else if (rc == 0)
        rpc_call_continue(call, RPC_LANE_WALK, usage_walk);
    else
        reply_usage(call, &figure);
}

static void cleanup(struct rpc_call *call)
{
    snapshotter_cleanup(rpc_call_service(call));
    reply_empty(call);
}

/* A List under way, between two messages. */
struct listing {
    struct filter_list *filters;
    struct store_position position;
    size_t count; /* of the records of the message that is being made */
    struct snapshot_record records[LIST_BATCH];
};

static void listing_reset(struct listing *listing)
{
    for (size_t i = 0; i < listing->count; i++)
        snapshot_record_clear(&listing->records[i]);
    listing->count = 0;
}

static void listing_free(void *state)
{
    struct listing *listing = state;
    listing_reset(listing);
    filter_list_free(listing->filters);
    free(listing);
}

static size_t record_bytes(const struct snapshot_record *record)
{
    size_t bytes = strlen(record->key) + strlen(record->parent);
    for (size_t i = 0; i < record->labels.count; i++)
        bytes += strlen(record->labels.items[i].key) + strlen(record->labels.items[i].value);
    return bytes;
}

/* Fills the next message; 1 when there is more, 0 at the end. */
static int listing_fill(struct listing *listing, struct snapshotter *snapshotter, const char *name,
                        struct error *error)
{
    int64_t until_ms = clock_monotonic_ms() + LIST_STEP_MS;
    int rc = 1;
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    if (snapshot_list_begin(snapshotter, &txn, error) != 0)
        return error->code;
    size_t bytes = 0;
    listing_reset(listing);
    while (listing->count < LIST_BATCH && bytes < LIST_BYTES && clock_monotonic_ms() <= until_ms) {
        unsigned budget = 1;
        struct snapshot_record *record = &listing->records[listing->count];
        rc = snapshot_list_next(&txn, name, listing->filters, &listing->position, &budget, record,
                                error);
        if (rc < 0 || budget > 0)
            return rc; /* 0: this was the end */
        if (rc > 0) {
            bytes += record_bytes(record);
            listing->count++;
        }
    }
    return 1;
}

static void list_step(struct rpc_call *call);

/* Nothing is locked while the client takes the message. */
static void send_listing(struct rpc_call *call, struct listing *listing, rpc_step *next)
{
    ListResponse response = CONTAINERD__SERVICES__SNAPSHOTS__V1__LIST_SNAPSHOTS_RESPONSE__INIT;
    struct info infos[LIST_BATCH];
    InfoMessage *pointers[LIST_BATCH];
    size_t count = listing->count;
    for (size_t i = 0; i < count; i++) {
        info_fill(&infos[i], &listing->records[i]);
        pointers[i] = &infos[i].message;
    }
    response.n_info = count;
    response.info = pointers;
    rpc_call_send(call, &response.base, RPC_LANE_QUICK, next);
    for (size_t i = 0; i < count; i++)
        info_clear(&infos[i]);
}

static void list_step(struct rpc_call *call)
{
    const ListRequest *message = rpc_call_request(call);
    struct listing *listing = rpc_call_state(call);
    struct error error = {0};
    int rc = cancel_requested(rpc_call_cancel(call))
                 ? error_set(&error, ERROR_CANCELLED, "the client has gone")
                 : listing_fill(listing, rpc_call_service(call), message->snapshotter, &error);
    if (rc < 0)
        fail(call, "List", message->snapshotter, &error);
    else if (listing->count > 0)
        send_listing(call, listing, rc > 0 ? list_step : rpc_call_finish);
    else if (rc > 0)
        rpc_call_continue(call, RPC_LANE_QUICK, list_step);
    else
        rpc_call_finish(call);
}

static void list(struct rpc_call *call)
{
    const ListRequest *message = rpc_call_request(call);
    struct filter_list *filters = NULL;
    struct error error = {0};
    int rc = check_name("snapshotter name", message->snapshotter, false, &error);
    if (rc == 0)
        rc = filter_list_parse(message->filters, message->n_filters, &filters, &error);
    if (rc != 0) {
        fail(call, "List", message->snapshotter, &error);
        return;
    }
    struct listing *listing = mem_alloc(sizeof *listing);
    listing->filters = filters;
    rpc_call_set_state(call, listing, listing_free);
    list_step(call);
}

static const struct rpc_method methods[] = {
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Prepare",
     .request = &containerd__services__snapshots__v1__prepare_snapshot_request__descriptor,
     .step = prepare,
     .lane = RPC_LANE_TXN},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/View",
     .request = &containerd__services__snapshots__v1__view_snapshot_request__descriptor,
     .step = view,
     .lane = RPC_LANE_TXN},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Mounts",
     .request = &containerd__services__snapshots__v1__mounts_request__descriptor,
     .step = mounts,
     .lane = RPC_LANE_INSTANT},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Commit",
     .request = &containerd__services__snapshots__v1__commit_snapshot_request__descriptor,
     .step = commit,
     .lane = RPC_LANE_TXN},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Remove",
     .request = &containerd__services__snapshots__v1__remove_snapshot_request__descriptor,
     .step = remove_snapshot,
     .lane = RPC_LANE_TXN},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Stat",
     .request = &containerd__services__snapshots__v1__stat_snapshot_request__descriptor,
     .step = stat_snapshot,
     .lane = RPC_LANE_INSTANT},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Update",
     .request = &containerd__services__snapshots__v1__update_snapshot_request__descriptor,
     .step = update,
     .lane = RPC_LANE_TXN},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/List",
     .request = &containerd__services__snapshots__v1__list_snapshots_request__descriptor,
     .step = list,
     .lane = RPC_LANE_QUICK,
     .kind = RPC_SERVER_STREAM},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Usage",
     .request = &containerd__services__snapshots__v1__usage_request__descriptor,
     .step = usage,
     .lane = RPC_LANE_QUICK},
    {.path = "/" SNAPSHOT_SERVICE_NAME "/Cleanup",
     .request = &containerd__services__snapshots__v1__cleanup_request__descriptor,
     .step = cleanup,
     .lane = RPC_LANE_QUICK},
};

void snapshot_service_add(struct rpc_server *server, struct snapshotter *snapshotter)
{
    rpc_server_add(server, methods, sizeof methods / sizeof methods[0], snapshotter);
}
