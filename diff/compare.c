/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "diff/difference.h"
#include "diff/encode.h"
#include "diff/internal.h"
#include "diff/media_type.h"
#include "snapshotter/held_tree.h"

/* Diff: two trees, the archive of what differs, and containerd's store where it goes. */

/* How long containerd keeps the blob for a caller without a lease. */
#define LEASE_SECONDS 3600

static const char uncompressed_label[] = "containerd.io/uncompressed";

struct comparison {
    struct differ *differ; /* set once, like the next two */
    const struct differ_diff_request *request;
    enum layer_compression compression;
    struct held_tree left;
    struct held_tree right;
    struct layer_encoder_result encoded;
    struct layer_difference_result difference;
};

static void comparison_clear(struct comparison *comparison)
{
    held_tree_clear(&comparison->left);
    held_tree_clear(&comparison->right);
}

static int open_trees(struct comparison *comparison, struct error *error)
{
    const struct differ_diff_request *request = comparison->request;
    struct snapshotter *snapshotter = comparison->differ->snapshotter;
    const char *left = NULL;
    const char *right = NULL;
    int rc = differ_bind_source(request->right, request->right_count, false, &right, error);
    if (rc == 0 && request->left_count > 0)
        rc = differ_bind_source(request->left, request->left_count, false, &left, error);
    if (rc == 0)
        rc = held_tree_open(snapshotter, right, &comparison->right, error);
    if (rc == 0 && left)
        rc = held_tree_open(snapshotter, left, &comparison->left, error);
    return rc;
}

/* Where the archive goes before it goes anywhere: to the encoder. */
struct encoder_sink {
    struct layer_sink base; /* first */
    struct layer_encoder *encoder;
};

static int write_to_encoder(struct layer_sink *sink, const void *data, size_t size,
                            struct error *error)
{
    return layer_encoder_add(((struct encoder_sink *) sink)->encoder, data, size, error);
}

static int encode(struct comparison *comparison, struct layer_encoder *encoder, struct error *error)
{
    const struct differ_diff_request *request = comparison->request;
    struct timestamp cloned;
    const bool is_clone = comparison->left.snapshotter &&
                          held_tree_is_clone_of(&comparison->right, &comparison->left, &cloned);
    const struct layer_difference_options options = {
        .left_fd = comparison->left.fd,
        .right_fd = comparison->right.fd,
        .cloned = is_clone ? &cloned : NULL,
        .reads_all = comparison->differ->options.reads_all,
        .has_epoch = request->has_epoch,
        .epoch_seconds = request->epoch_seconds,
        .cancel = request->caller.cancel,
    };
    struct encoder_sink sink = {.base.write = write_to_encoder, .encoder = encoder};
    int rc = layer_difference(&options, &sink.base, &comparison->difference, error);
    return rc == 0 ? layer_encoder_finish(encoder, &comparison->encoded, error) : rc;
}

static int write_blob(struct comparison *comparison, struct containerd_writer *writer,
                      struct error *error)
{
    const struct layer_encoder_options options = {.compression = comparison->compression,
                                                  .cancel = comparison->request->caller.cancel};
    owned(layer_encoder_clear) struct layer_encoder *encoder = NULL;
    owned(labels_clear) struct labels labels = LABELS_NULL;
    char plain[DIGEST_TEXT_SIZE];
    int rc = layer_encoder_open(containerd_writer_sink(writer), &options, &encoder, error);
    if (rc == 0)
        rc = encode(comparison, encoder, error);
    if (rc != 0)
        return rc;
    labels_copy(&labels, comparison->request->labels);
    if (comparison->compression != LAYER_PLAIN) {
        digest_format(&comparison->encoded.plain_digest, plain);
        labels_set(&labels, uncompressed_label, plain);
    }
    return containerd_writer_commit(writer, &comparison->encoded.digest, comparison->encoded.bytes,
                                    &labels, error);
}

/* What the blob is called while it is written. Free with mem_free. */
static char *choose_ref(const char *wanted)
{
    char uuid[40];
    if (wanted[0])
        return mem_strdup(wanted);
    random_uuid(uuid);
    return mem_printf("clonefs-diff-%s", uuid);
}

/* Writes the blob under a lease: the caller's, or one that keeps it until the caller has used it.
 */
static int write_leased(struct comparison *comparison, struct differ_peer *peer,
                        struct containerd_scope *scope, struct error *error)
{
    owned(mem_free) char *ref = choose_ref(comparison->request->ref);
    owned(mem_free) char *lease = NULL;
    owned(containerd_writer_clear) struct containerd_writer *writer = NULL;
    int rc = 0;
    if (!scope->lease) {
        rc = containerd_lease_new(peer->client, scope, LEASE_SECONDS, &lease, error);
        scope->lease = lease;
    }
    if (rc == 0)
        rc = containerd_writer_open(peer->client, scope, ref, &writer, error);
    if (rc == 0)
        rc = write_blob(comparison, writer, error);
    if (rc != 0 && lease) {
        containerd_writer_clear(&writer);
        (void) containerd_lease_delete(peer->client, scope, lease, NULL);
    }
    return rc;
}

static int make_layer(struct comparison *comparison, struct error *error)
{
    const struct differ_caller *caller = &comparison->request->caller;
    const struct snapshot_record *record = &comparison->right.record;
    struct differ_peer *peer = differ_find_peer(comparison->differ, record);
    owned(mem_free) char *name = differ_namespace(peer, caller, record);
    struct containerd_scope scope = {
        .namespace_name = name, .lease = caller->lease, .cancel = caller->cancel};
    int64_t started = clock_monotonic_ms();
    int rc = write_leased(comparison, peer, &scope, error);
    if (rc != 0)
        return rc;
    log_info("compared snapshot %s with %s: %llu entries, %llu of %llu files read, %llu bytes, in "
             "%lld ms",
             record->key,
             comparison->left.snapshotter ? comparison->left.record.key : "the empty tree",
             (unsigned long long) comparison->difference.entries,
             (unsigned long long) comparison->difference.files_read,
             (unsigned long long) comparison->difference.files_looked,
             (unsigned long long) comparison->encoded.bytes,
             (long long) (clock_monotonic_ms() - started));
    return 0;
}

int differ_diff(struct differ *differ, const struct differ_diff_request *request,
                struct differ_layer *out_layer, struct error *error)
{
    owned(comparison_clear) struct comparison comparison = {
        .differ = differ, .request = request, .left = HELD_TREE_NULL, .right = HELD_TREE_NULL};
    const char *media_type = NULL;
    if (differ->options.diff_declined)
        return error_set(error, ERROR_UNIMPLEMENTED,
                         "clonefsd is configured to leave Diff to containerd's own differ");
    if (!layer_type_to_make(request->media_type, &comparison.compression, &media_type))
        return error_set(error, ERROR_UNIMPLEMENTED, "layers of type %.200s are not made here",
                         request->media_type);
    int rc = open_trees(&comparison, error);
    if (rc == 0)
        rc = make_layer(&comparison, error);
    if (rc == 0)
        *out_layer = (struct differ_layer){.media_type = media_type,
                                           .digest = comparison.encoded.digest,
                                           .size = comparison.encoded.bytes};
    return rc;
}
