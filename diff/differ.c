/* SPDX-License-Identifier: Apache-2.0 */
#include "diff/differ.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "diff/internal.h"

#define DEFAULT_NAMESPACE "default"

static int open_peer(struct differ_peer *peer, const struct differ_containerd *own,
                     const struct differ_containerd *common, const char *default_address,
                     struct error *error)
{
    const char *address = own->address      ? own->address
                          : common->address ? common->address
                                            : default_address;
    const char *name = own->namespace_name ? own->namespace_name : common->namespace_name;
    *peer =
        (struct differ_peer){.snapshotter = own->snapshotter ? mem_strdup(own->snapshotter) : NULL,
                             .namespace_name = mem_strdup(name ? name : DEFAULT_NAMESPACE)};
    return containerd_client_new(address, &peer->client, error);
}

static int open_peers(struct differ *differ, const struct differ_options *options,
                      struct error *error)
{
    const struct differ_containerd *containerds = options->containerds;
    size_t count = options->containerd_count;
    struct differ_containerd common = {0};
    for (size_t i = 0; i < count; i++)
        if (!containerds[i].snapshotter)
            common = containerds[i];
    differ->peers = mem_alloc_array(count + 1, sizeof *differ->peers);
    differ->peer_count = 1;
    int rc = open_peer(&differ->peers[0], &common, &common, options->containerd_address, error);
    for (size_t i = 0; rc == 0 && i < count; i++)
        if (containerds[i].snapshotter)
            rc = open_peer(&differ->peers[differ->peer_count++], &containerds[i], &common,
                           options->containerd_address, error);
    return rc;
}

int differ_open(struct content *content, struct snapshotter *snapshotter,
                const struct differ_options *options, struct differ **out_differ,
                struct error *error)
{
    struct differ *differ = mem_alloc(sizeof *differ);
    *differ = (struct differ){.content = content, .snapshotter = snapshotter, .options = *options};
    differ->options.containerds = NULL;
    differ->options.containerd_address = NULL;
    int rc = open_peers(differ, options, error);
    if (rc != 0) {
        differ_close(differ);
        return rc;
    }
    *out_differ = differ;
    return 0;
}

void differ_close(struct differ *differ)
{
    if (!differ)
        return;
    for (size_t i = 0; i < differ->peer_count; i++) {
        containerd_client_free(differ->peers[i].client);
        mem_free(&differ->peers[i].snapshotter);
        mem_free(&differ->peers[i].namespace_name);
    }
    free(differ->peers);
    free(differ);
}

struct differ_peer *differ_find_peer(const struct differ *differ,
                                     const struct snapshot_record *record)
{
    for (size_t i = 1; i < differ->peer_count; i++)
        if (strcmp(differ->peers[i].snapshotter, record->snapshotter) == 0)
            return &differ->peers[i];
    return &differ->peers[0];
}

/* containerd's own keys are NAMESPACE/NUMBER/NAME; its header is not always there (contract 1.4).
 */
char *differ_namespace(const struct differ_peer *peer, const struct differ_caller *caller,
                       const struct snapshot_record *record)
{
    if (caller->namespace_name && caller->namespace_name[0])
        return mem_strdup(caller->namespace_name);
    size_t length = strcspn(record->key, "/");
    const char *number = record->key + length;
    size_t digits = number[0] ? strspn(number + 1, "0123456789") : 0;
    if (length > 0 && digits > 0 && number[1 + digits] == '/')
        return mem_strndup(record->key, length);
    return mem_strdup(peer->namespace_name);
}

static bool has_option(const struct differ_mount *mount, const char *option)
{
    for (size_t i = 0; i < mount->option_count; i++)
        if (strcmp(mount->options[i], option) == 0)
            return true;
    return false;
}

int differ_bind_source(const struct differ_mount *mounts, size_t count, bool writable,
                       const char **out_source, struct error *error)
{
    if (count != 1)
        return error_set(error, ERROR_UNIMPLEMENTED,
                         "there are %zu mounts instead of one bind of a snapshot of clonefs",
                         count);
    if (strcmp(mounts->type, "bind") != 0)
        return error_set(error, ERROR_UNIMPLEMENTED, "the mount is of type %.100s instead of bind",
                         mounts->type);
    if (writable && has_option(mounts, "ro"))
        return error_set(error, ERROR_UNIMPLEMENTED, "the mount is read-only");
    *out_source = mounts->source;
    return 0;
}
