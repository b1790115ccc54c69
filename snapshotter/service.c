/* SPDX-License-Identifier: Apache-2.0 */
#include "snapshotter/service.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/mem.h"
#include "rpc/listing.h"
#include "rpc/message.h"
#include "snapshots.pb-c.h"

typedef Containerd__Services__Snapshots__V1__Info InfoMessage;
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

/* A record as a message, which borrows the record's strings. */
struct info {
    InfoMessage message;
    Google__Protobuf__Timestamp created;
    Google__Protobuf__Timestamp updated;
    struct rpc_labels labels;
};

static void info_fill(struct info *info, const struct snapshot_record *record)
{
    rpc_time_fill(&info->created, record->created);
    rpc_time_fill(&info->updated, record->updated);
    rpc_labels_fill(&info->labels, &record->labels,
                    &containerd__services__snapshots__v1__info__labels_entry__descriptor);
    containerd__services__snapshots__v1__info__init(&info->message);
    info->message.name = record->key;
    info->message.parent = record->parent;
    info->message.kind = (Containerd__Services__Snapshots__V1__Kind) record->kind;
    info->message.created_at = &info->created;
    info->message.updated_at = &info->updated;
    info->message.n_labels = info->labels.count;
    info->message.labels =
        (Containerd__Services__Snapshots__V1__Info__LabelsEntry **) info->labels.pointers;
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

/* Returns 1 if it cannot be done at once. */
typedef int make_snapshot(struct snapshotter *snapshotter, const struct snapshot_request *request,
                          const struct cancel *cancel, struct snapshot_mount *out_mount,
                          struct error *error);

/* The requests of Prepare and View are one on the wire, too. False if run could not do it at once:
 * then the call is still to be answered. */
static bool make(struct rpc_call *call, const char *what, make_snapshot *run)
{
    const PrepareRequest *message = rpc_call_request(call);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    struct error error = {0};
    rpc_labels_read(message->labels, message->n_labels, &labels);
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
    if (rc < 0)
        rpc_fail_logged(call, what, message->key, &error);
    else if (rc == 0)
        reply_mount(call, &mount);
    return rc <= 0;
}

static void prepare_now(struct rpc_call *call)
{
    (void) make(call, "Prepare", snapshot_prepare);
}

static void view_now(struct rpc_call *call)
{
    (void) make(call, "View", snapshot_view);
}

static void prepare(struct rpc_call *call)
{
    const PrepareRequest *message = rpc_call_request(call);
    if (make(call, "Prepare", snapshot_prepare_at_once))
        return;
    if (snapshot_prepare_is_small(rpc_call_service(call), message->snapshotter, message->parent))
        prepare_now(call);
    else
        rpc_call_continue(call, RPC_LANE_CLONE, prepare_now);
}

static void view(struct rpc_call *call)
{
    const ViewRequest *message = rpc_call_request(call);
    if (make(call, "View", snapshot_view_at_once))
        return;
    if (snapshot_view_is_small(rpc_call_service(call), message->snapshotter, message->parent))
        view_now(call);
    else
        rpc_call_continue(call, RPC_LANE_CLONE, view_now);
}

static void mounts_after_all(struct rpc_call *call)
{
    const MountsRequest *message = rpc_call_request(call);
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    struct error error = {0};
    if (snapshot_mounts(rpc_call_service(call), message->snapshotter, message->key,
                        rpc_call_cancel(call), &mount, &error) != 0)
        rpc_fail_logged(call, "Mounts", message->key, &error);
    else
        reply_mount(call, &mount);
}

static void mounts(struct rpc_call *call)
{
    const MountsRequest *message = rpc_call_request(call);
    owned(snapshot_mount_clear) struct snapshot_mount mount = SNAPSHOT_MOUNT_NULL;
    struct error error = {0};
    int rc = check_names(message->snapshotter, message->key, &error);
    if (rc == 0)
        rc = snapshot_mounts_at_once(rpc_call_service(call), message->snapshotter, message->key,
                                     &mount, &error);
    if (rc < 0)
        rpc_fail_logged(call, "Mounts", message->key, &error);
    else if (rc == 0)
        reply_mount(call, &mount);
    else
        rpc_call_continue(call, RPC_LANE_CLONE, mounts_after_all);
}

static void commit(struct rpc_call *call)
{
    const CommitRequest *message = rpc_call_request(call);
    owned(labels_clear) struct labels labels = LABELS_NULL;
    struct error error = {0};
    rpc_labels_read(message->labels, message->n_labels, &labels);
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
        rpc_fail_logged(call, "Commit", message->key, &error);
    else
        rpc_reply_empty(call);
}

static void remove_snapshot(struct rpc_call *call)
{
    const RemoveRequest *message = rpc_call_request(call);
    struct error error = {0};
    int rc = check_names(message->snapshotter, message->key, &error);
    if (rc == 0)
        rc = snapshot_remove(rpc_call_service(call), message->snapshotter, message->key, &error);
    if (rc != 0)
        rpc_fail_logged(call, "Remove", message->key, &error);
    else
        rpc_reply_empty(call);
}

/* The answers of Stat and Update are one on the wire. */
static void reply_info(struct rpc_call *call, const struct snapshot_record *record)
{
    StatResponse response = CONTAINERD__SERVICES__SNAPSHOTS__V1__STAT_SNAPSHOT_RESPONSE__INIT;
    struct info info;
    info_fill(&info, record);
    response.info = &info.message;
    rpc_call_reply(call, &response.base);
    rpc_labels_clear(&info.labels);
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
        rpc_fail_logged(call, "Stat", message->key, &error);
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
        rpc_labels_read(info->labels, info->n_labels, &labels);
        rc = snapshot_update(rpc_call_service(call), &request,
                             message->update_mask ? message->update_mask->paths : NULL,
                             message->update_mask ? message->update_mask->n_paths : 0, &record,
                             &error);
    }
    if (rc != 0)
        rpc_fail_logged(call, "Update", info->name, &error);
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
        rpc_fail_logged(call, "Usage", message->key, &error);
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
        rpc_fail_logged(call, "Usage", message->key, &error);
    else if (rc == 0)
        rpc_call_continue(call, RPC_LANE_WALK, usage_walk);
    else
        reply_usage(call, &figure);
}

static void cleanup(struct rpc_call *call)
{
    snapshotter_cleanup(rpc_call_service(call));
    rpc_reply_empty(call);
}

/* A List under way, between two messages. */
struct listing {
    struct rpc_listing common;
    struct filter_list *filters;
    struct store_position position;
    struct snapshot_record records[RPC_LISTING_BATCH]; /* as many as common counts */
};

static void listing_reset(struct listing *listing)
{
    for (size_t i = 0; i < listing->common.count; i++)
        snapshot_record_clear(&listing->records[i]);
    listing->common.count = 0;
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
    return strlen(record->key) + strlen(record->parent) + rpc_labels_bytes(&record->labels);
}

static int listing_fill(struct rpc_call *call, struct rpc_listing *common, struct error *error)
{
    const ListRequest *message = rpc_call_request(call);
    struct listing *listing = rpc_call_state(call);
    owned(store_read_end) struct store_txn txn = STORE_TXN_NULL;
    int answer = snapshot_list_begin(rpc_call_service(call), &txn, error);
    if (answer != 0)
        return answer;
    size_t bytes;
    listing_reset(listing);
    do {
        struct snapshot_record *record = &listing->records[common->count];
        answer = snapshot_list_next(&txn, message->snapshotter, listing->filters, &common->patience,
                                    &listing->position, record, error);
        bytes = answer == FILTER_MATCH ? record_bytes(record) : 0;
    } while (rpc_listing_goes_on(common, answer, bytes));
    return answer;
}

static void listing_send(struct rpc_call *call, struct rpc_listing *common, enum rpc_lane lane,
                         rpc_step *next)
{
    ListResponse response = CONTAINERD__SERVICES__SNAPSHOTS__V1__LIST_SNAPSHOTS_RESPONSE__INIT;
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
    int rc = check_name("snapshotter name", message->snapshotter, false, &error);
    if (rc == 0)
        rc = filter_list_parse(message->filters, message->n_filters, &filters, &error);
    if (rc != 0) {
        rpc_fail_logged(call, "List", message->snapshotter, &error);
        return;
    }
    struct listing *listing = mem_alloc(sizeof *listing);
    listing->common.kind = &kind;
    listing->filters = filters;
    rpc_call_set_state(call, listing, listing_free);
    rpc_listing_step(call);
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
