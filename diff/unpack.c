/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "diff/blob_source.h"
#include "diff/internal.h"
#include "diff/media_type.h"
#include "diff/stream.h"
#include "snapshotter/unpacking.h"

/* Apply: a blob, the stream of its bytes, and the snapshot that they are unpacked into. */

/* Our own blob if there is one; else containerd is asked. */
static int open_source(struct differ *differ, const struct differ_apply_request *request,
                       const struct snapshot_unpacking *unpacking, struct layer_source **out_source,
                       struct error *error)
{
    const struct cancel *cancel = snapshot_unpacking_cancel(unpacking);
    const struct snapshot_record *record = snapshot_unpacking_record(unpacking);
    int rc = blob_source_open(differ->content, request->digest, cancel, out_source, error);
    if (rc != ERROR_NOT_FOUND)
        return rc;
    struct differ_peer *peer = differ_find_peer(differ, record);
    owned(mem_free) char *name = differ_namespace(peer, &request->caller, record);
    const struct containerd_scope scope = {
        .namespace_name = name, .lease = request->caller.lease, .cancel = cancel};
    return containerd_blob_open(peer->client, &scope, request->digest, out_source, error);
}

static int unpack_stream(struct differ *differ, struct snapshot_unpacking *unpacking,
                         struct layer_stream *stream, struct layer_apply_result *out_result,
                         struct error *error)
{
    const struct layer_apply_options options = {
        .limits = differ->options.limits,
        .appledouble = differ->options.appledouble,
        .file_flags = differ->options.file_flags,
        .names = differ->options.names,
        .touched = snapshot_unpacking_touched(unpacking),
        .flush_ahead = true, /* what is cloned next has to be flushed in any case */
        .cancel = snapshot_unpacking_cancel(unpacking),
    };
    return layer_apply(snapshot_unpacking_fd(unpacking), stream, &options, out_result, error);
}

static int unpack_source(struct differ *differ, struct snapshot_unpacking *unpacking,
                         struct layer_source *source, bool raw, struct layer_stream_result *out,
                         struct layer_apply_result *out_result, struct error *error)
{
    const struct layer_stream_options options = {
        .cancel = snapshot_unpacking_cancel(unpacking),
        .raw = raw,
        .max_bytes = differ->options.limits.bytes,
        .max_ratio = differ->options.limits.ratio,
    };
    owned(layer_stream_clear) struct layer_stream *stream = NULL;
    int rc = layer_stream_open(source, &options, &stream, error);
    if (rc == 0)
        rc = unpack_stream(differ, unpacking, stream, out_result, error);
    return rc == 0 ? layer_stream_finish(stream, out, error) : rc;
}

static int unpack(struct differ *differ, const struct differ_apply_request *request,
                  struct snapshot_unpacking *unpacking, bool raw, struct differ_layer *out_layer,
                  struct error *error)
{
    owned(layer_source_close) struct layer_source *source = NULL;
    struct layer_stream_result stream = {0};
    struct layer_apply_result applied = {0};
    int64_t started = clock_monotonic_ms();
    int rc = open_source(differ, request, unpacking, &source, error);
    if (rc == 0)
        rc = unpack_source(differ, unpacking, source, raw, &stream, &applied, error);
    const struct unpacked unpacked = {.durable = differ->options.durable || request->sync,
                                      .touched_lost = applied.touched_lost};
    if (rc == 0)
        rc = snapshot_unpacking_finish(unpacking, &unpacked, error);
    if (rc != 0)
        return rc;
    log_info("unpacked %llu entries (%llu bytes compressed, %llu not) into snapshot %s in %lld ms",
             (unsigned long long) applied.entries, (unsigned long long) stream.source_bytes,
             (unsigned long long) stream.bytes, snapshot_unpacking_record(unpacking)->key,
             (long long) (clock_monotonic_ms() - started));
    *out_layer = (struct differ_layer){
        .media_type = layer_type_plain, .digest = stream.digest, .size = stream.bytes};
    return 0;
}

int differ_apply(struct differ *differ, const struct differ_apply_request *request,
                 struct differ_layer *out_layer, struct error *error)
{
    owned(snapshot_unpacking_clear) struct snapshot_unpacking *unpacking = NULL;
    const char *source = NULL;
    enum layer_encoding encoding = layer_encoding_of(request->media_type);
    if (encoding == LAYER_ENCODING_UNKNOWN)
        return error_set(error, ERROR_UNIMPLEMENTED, "layers of type %.200s are not known here",
                         request->media_type);
    int rc = differ_bind_source(request->mounts, request->mount_count, true, &source, error);
    if (rc == 0)
        rc = snapshot_unpacking_begin(differ->snapshotter, source, request->caller.cancel,
                                      &unpacking, error);
    if (rc == 0)
        rc = unpack(differ, request, unpacking, encoding == LAYER_ENCODING_RAW, out_layer, error);
    return rc;
}
