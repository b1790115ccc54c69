/* SPDX-License-Identifier: Apache-2.0 */

/* clonefsd: wires store, snapshotter and rpc together and waits for a signal. */

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/notify.h"
#include "base/process.h"
#include "cmd/clonefsd/defaults.h"
#include "cmd/clonefsd/options.h"
#include "cmd/clonefsd/probe.h"
#include "cmd/clonefsd/startup.h"
#include "content/content.h"
#include "content/service.h"
#include "diff/service.h"
#include "rpc/health.h"
#include "rpc/listener.h"
#include "rpc/server.h"
#include "snapshotter/service.h"
#include "snapshotter/snapshotter.h"
#include "store/root.h"
#include "store/store.h"
#include "tree/spelling.h"
#include "tree/trash.h"
#include "tree/tree.h"

/* SIGTERM must be answered within five seconds: calls get the first, those that were cancelled and
 * the last flush the next, gRPC's threads the rest. */
#define CALLS_GRACE_MS 1500
#define FLUSH_GRACE_MS 2800
#define CORE_GRACE_MS 300

/* Everything that is open. */
struct daemon {
    struct store_root root;
    struct store *store;
    struct trash *trash;
    struct snapshotter *snapshotter;
    struct content *content;
    struct differ *differ;
    struct rpc_server *server;
    struct rpc_health health;
    struct rpc_listener *listener;
};

static sigset_t block_signals(void)
{
    sigset_t handled;
    (void) sigemptyset(&handled);
    (void) sigaddset(&handled, SIGTERM);
    (void) sigaddset(&handled, SIGINT);
    (void) sigaddset(&handled, SIGHUP);
    (void) pthread_sigmask(SIG_BLOCK, &handled, NULL);
    (void) signal(SIGPIPE, SIG_IGN);
    return handled;
}

typedef int root_opener(const char *path, struct store_root *out_root, struct error *error);

static int open_store(struct daemon *daemon, root_opener *open_root, const struct options *options,
                      struct error *error)
{
    char boot_id[64] = "";
    (void) clock_boot_id(boot_id);
    struct store_options store_options = {.boot_id = boot_id};
    int rc = startup_check(options->root, options->allow_case_insensitive, error);
    if (rc != 0)
        return rc;
    rc = open_root(options->root, &daemon->root, error);
    if (rc == 0)
        rc = store_open(daemon->root.fd, store_root_is_empty(&daemon->root), &store_options,
                        &daemon->store, error);
    return rc == 0 ? 0 : error_wrap(error, "%s", options->root);
}

/* What the volume is known to do. A full one cannot be probed, and is no reason not to start:
 * removing makes room. */
static struct tree_abilities probe_volume(const struct daemon *daemon)
{
    struct tree_abilities abilities = {.method = TREE_CLONE_COPY};
    struct error error = {0};
    if (tree_probe(daemon->root.trash_fd, &abilities, &error) != 0)
        log_warn("%s: cannot find out whether the volume can clone files: %s", daemon->root.path,
                 error.message);
    else if (abilities.method == TREE_CLONE_COPY)
        log_warn("%s: this volume cannot clone files, so every snapshot is a full copy; XFS made "
                 "with reflink=1, or Btrfs, can",
                 daemon->root.path);
    else
        log_info("%s: snapshots are clones by %s%s", daemon->root.path,
                 tree_clone_method_name(abilities.method),
                 abilities.clones_directories ? ", of whole directories" : "");
    return abilities;
}

static int start_serving(struct daemon *daemon, const struct options *options, struct error *error)
{
    static const char *const services[] = {SNAPSHOT_SERVICE_NAME, CONTENT_SERVICE_NAME,
                                           DIFF_SERVICE_NAME};
    static const struct rpc_server_options server_options = {0};
    int rc = rpc_server_new(&server_options, &daemon->server, error);
    if (rc != 0)
        return rc;
    daemon->health = (struct rpc_health){.services = services, .service_count = 3};
    snapshot_service_add(daemon->server, daemon->snapshotter);
    content_service_add(daemon->server, daemon->content);
    diff_service_add(daemon->server, daemon->differ);
    rpc_health_add(daemon->server, &daemon->health);
    rc = rpc_server_start(daemon->server, error);
    if (rc == 0)
        rc = rpc_listener_open(options->address, daemon->server, &daemon->listener, error);
    return rc;
}

/* Of a volume that cannot be asked, a full one, the worse is assumed: it only costs time. */
static struct spelling_rules ask_spelling(const struct daemon *daemon)
{
    struct spelling_rules rules = {.folds = true};
    struct error error = {0};
    if (spelling_ask(daemon->root.trash_fd, &rules, &error) != 0)
        log_warn("%s: cannot find out which names are one on the volume: %s", daemon->root.path,
                 error.message);
    return rules;
}

static int open_differ(struct daemon *daemon, const struct options *options,
                       const struct tree_abilities *abilities, struct error *error)
{
    struct differ_options diff = options->diff;
    diff.names.spelling = ask_spelling(daemon);
    diff.reads_all = !abilities->tells_shared_data;
    diff.containerds = options->containerds;
    diff.containerd_count = options->containerd_count;
    diff.containerd_address = defaults.containerd;
    return differ_open(daemon->content, daemon->snapshotter, &diff, &daemon->differ, error);
}

static int start(struct daemon *daemon, const struct options *options, struct error *error)
{
    int rc = open_store(daemon, store_root_open, options, error);
    if (rc != 0)
        return rc;
    struct snapshotter_options snapshots = options->snapshots;
    const struct tree_abilities abilities = probe_volume(daemon);
    snapshots.clones_share_data = abilities.method == TREE_CLONE_REFLINK;
    snapshots.clones_directories = abilities.clones_directories;
    snapshots.tells_private_sizes = abilities.tells_private_sizes;
    rc = trash_open(daemon->root.trash_fd, &daemon->trash, error);
    if (rc == 0)
        rc = snapshotter_open(daemon->store, &daemon->root, daemon->trash, &snapshots,
                              &daemon->snapshotter, error);
    if (rc == 0)
        rc = content_open(daemon->store, &daemon->root, daemon->trash, &options->content,
                          &daemon->content, error);
    if (rc == 0)
        rc = open_differ(daemon, options, &abilities, error);
    return rc == 0 ? start_serving(daemon, options, error) : rc;
}

/* False if the flush of a call, or the last one, is still under way: then the store must not be
 * closed. */
static bool stop(struct daemon *daemon)
{
    int64_t deadline = clock_monotonic_ms() + CALLS_GRACE_MS + FLUSH_GRACE_MS;
    rpc_listener_close(daemon->listener);
    if (daemon->server && !rpc_server_stop(daemon->server, CALLS_GRACE_MS, FLUSH_GRACE_MS))
        return false;
    rpc_server_free(daemon->server);
    differ_close(daemon->differ);
    content_close(daemon->content);
    int64_t left_ms = deadline - clock_monotonic_ms();
    left_ms = left_ms < 0 ? 0 : left_ms < FLUSH_GRACE_MS ? left_ms : FLUSH_GRACE_MS;
    if (!snapshotter_close(daemon->snapshotter, (int) left_ms))
        return false;
    trash_close(daemon->trash);
    store_close(daemon->store);
    store_root_close(&daemon->root);
    return true;
}

static void wait_for_stop(const sigset_t *handled)
{
    int received = 0;
    do {
        (void) sigwait(handled, &received);
    } while (received == SIGHUP); /* nothing to read again yet */
    log_info("stopping on signal %d", received);
}

static int serve(const struct options *options, struct error *error)
{
    sigset_t handled = block_signals();
    struct daemon daemon = {.root = STORE_ROOT_NULL};
    int rc = start(&daemon, options, error);
    if (rc == 0) {
        log_info("clonefsd " CLONEFS_VERSION " listening on %s, root %s, store %s",
                 options->address, daemon.root.path, store_uuid(daemon.store));
        notify_supervisor("READY=1");
        wait_for_stop(&handled);
        notify_supervisor("STOPPING=1");
    }
    if (!stop(&daemon)) {
        log_warn("the volume is still flushing; should the machine go down before the next "
                 "start, the last snapshots will be marked as damaged");
        _exit(rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE);
    }
    if (rc == 0 && !rpc_core_shut_down(CORE_GRACE_MS))
        _exit(EXIT_SUCCESS);
    return rc;
}

static int forget(const struct options *options, struct error *error)
{
    struct daemon daemon = {.root = STORE_ROOT_NULL};
    uint64_t count = 0;
    int rc = open_store(&daemon, store_root_open_existing, options, error);
    if (rc == 0 && snapshotter_forget(daemon.store, &daemon.root, options->forget_snapshotter,
                                      &count, error) != 0)
        rc = error_wrap(error, "%s", options->root);
    if (rc == 0)
        (void) printf("removed %llu snapshots of the snapshotter %s\n", (unsigned long long) count,
                      options->forget_snapshotter);
    (void) stop(&daemon);
    return rc;
}

static void print_line(void *context, const char *line)
{
    (void) context;
    (void) puts(line);
    (void) fflush(stdout);
}

static int adopt_into(struct daemon *daemon, const struct options *options, struct error *error)
{
    static const struct content_options no_scrub = {0};
    struct content_adoption adoption = {0};
    int rc = trash_open(daemon->root.trash_fd, &daemon->trash, error);
    if (rc == 0)
        rc = content_open(daemon->store, &daemon->root, daemon->trash, &no_scrub, &daemon->content,
                          error);
    if (rc == 0)
        rc = content_adopt(daemon->content, options->adopt_content, print_line, NULL, &adoption,
                           error);
    (void) printf("adopted %llu blobs of %llu bytes; %llu were here already, %llu do not match "
                  "their names, %llu are no blobs\n",
                  (unsigned long long) adoption.adopted, (unsigned long long) adoption.bytes,
                  (unsigned long long) adoption.present, (unsigned long long) adoption.wrong,
                  (unsigned long long) adoption.skipped);
    if (rc == 0 && adoption.wrong > 0)
        rc = error_set(error, ERROR_CORRUPT,
                       "%llu files do not match their names and were left out: pull the images "
                       "that need them again",
                       (unsigned long long) adoption.wrong);
    return rc;
}

static int adopt(const struct options *options, struct error *error)
{
    struct daemon daemon = {.root = STORE_ROOT_NULL};
    int rc = open_store(&daemon, store_root_open, options, error);
    if (rc == 0)
        rc = adopt_into(&daemon, options, error);
    (void) stop(&daemon);
    return rc;
}

static int run(const struct options *options, struct error *error)
{
    log_set_level(options->log_level);
    process_prepare();
    if (options->probe)
        return probe(options->probe, error);
    if (options->adopt_content)
        return adopt(options, error);
    return options->forget_snapshotter ? forget(options, error) : serve(options, error);
}

int main(int argc, char **argv)
{
    struct error error = {0};
    owned(options_clear) struct options options;
    int rc = options_read(argc, argv, &options, &error);
    if (rc == 0 && options.show_help)
        options_print_usage();
    else if (rc == 0 && options.show_version)
        (void) puts("clonefsd " CLONEFS_VERSION);
    else if (rc == 0)
        rc = run(&options, &error);
    if (rc != 0)
        (void) fprintf(stderr, "clonefsd: %s\n", error.message);
    return rc == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
