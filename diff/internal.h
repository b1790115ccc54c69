/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "diff/containerd_client.h"
#include "diff/differ.h"

/* For diff/ alone. */

struct differ {
    struct content *content; /* set once, like all below */
    struct snapshotter *snapshotter;
    struct differ_options options;
    struct differ_peer *peers; /* the first is for all names that have none of their own */
    size_t peer_count;
};

/* A containerd, its client ready. */
struct differ_peer {
    char *snapshotter;
    char *namespace_name;
    struct containerd_client *client;
};

/* The containerd that owns the snapshot. */
struct differ_peer *differ_find_peer(const struct differ *differ,
                                     const struct snapshot_record *record);

/* The namespace of a call about the snapshot: told, or the first part of the snapshot's key, or the
 * configured one. Free with mem_free. */
char *differ_namespace(const struct differ_peer *peer, const struct differ_caller *caller,
                       const struct snapshot_record *record);

/* The source of the only mount, if that is a bind: ERROR_UNIMPLEMENTED otherwise, or if it is
 * read-only but must not be. */
int differ_bind_source(const struct differ_mount *mounts, size_t count, bool writable,
                       const char **out_source, struct error *error);
