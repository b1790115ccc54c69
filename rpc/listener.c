/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/listener.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/thread.h"
#include "rpc/address.h"
#include "rpc/peer.h"

struct rpc_listener {
    struct rpc_server *server;
    char *path;
    int fd;
    struct stat bound; /* the socket file that is ours */
    int stop_pipe[2];  /* closing the write end stops the thread */
    pthread_t thread;
    bool started;
};

static int make_folder(const char *path, struct error *error)
{
    owned(mem_free) char *folder = mem_strdup(path);
    char *slash = strrchr(folder, '/');
    if (slash == folder)
        return 0;
    *slash = '\0';
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "cannot make the folder %s of the socket", folder);
    return 0;
}

/* Removes a socket that nobody listens on any more. */
static int clear_stale(const struct sockaddr_un *address, struct error *error)
{
    struct stat status;
    if (lstat(address->sun_path, &status) != 0)
        return errno == ENOENT ? 0 : error_errno(error, "cannot look at %s", address->sun_path);
    if (!S_ISSOCK(status.st_mode))
        return error_set(error, ERROR_PRECONDITION,
                         "%s exists and is no socket: remove it or choose another address",
                         address->sun_path);
    if (rpc_address_probe(address) == 0)
        return error_set(error, ERROR_PRECONDITION,
                         "another server listens on %s: stop it or choose another address",
                         address->sun_path);
    if (unlink(address->sun_path) != 0 && errno != ENOENT)
        return error_errno(error, "cannot remove the stale socket %s", address->sun_path);
    return 0;
}

static int bind_socket(struct rpc_listener *listener, struct error *error)
{
    struct sockaddr_un address;
    int rc = rpc_address_make(listener->path, &address, error);
    if (rc == 0)
        rc = make_folder(listener->path, error);
    if (rc == 0)
        rc = clear_stale(&address, error);
    if (rc != 0)
        return rc;
    listener->fd = peer_socket();
    if (listener->fd < 0)
        return error_errno(error, "cannot make a socket");
    if (bind(listener->fd, (struct sockaddr *) &address, sizeof address) != 0)
        return error_errno(error, "cannot bind %s", listener->path);
    if (lstat(listener->path, &listener->bound) != 0 || listen(listener->fd, SOMAXCONN) != 0)
        return error_errno(error, "cannot listen on %s", listener->path);
    return 0;
}

/* Takes all connections that wait. False when accepting should pause, since the process is out of
 * descriptors. */
static bool accept_all(struct rpc_listener *listener)
{
    for (;;) {
        owned(fd_close) int fd = peer_accept(listener->fd);
        if (fd < 0)
            return errno != EMFILE && errno != ENFILE && errno != ENOMEM;
        if (peer_is_trusted(fd))
            rpc_server_add_connection(listener->server, fd_take(&fd));
        else
            log_warn("turned away a connection of another user than root and ours");
    }
}

static void *accept_loop(void *argument)
{
    struct rpc_listener *listener = argument;
    struct pollfd polled[2] = {{.fd = listener->stop_pipe[0], .events = POLLIN},
                               {.fd = listener->fd, .events = POLLIN}};
    bool paused = false;
    for (;;) {
        int rc = poll(polled, paused ? 1 : 2, paused ? 100 : -1);
        if (polled[0].revents)
            return NULL;
        paused = rc > 0 && !paused && polled[1].revents && !accept_all(listener);
    }
}

int rpc_listener_open(const char *path, struct rpc_server *server,
                      struct rpc_listener **out_listener, struct error *error)
{
    struct rpc_listener *listener = mem_alloc(sizeof *listener);
    listener->server = server;
    listener->path = mem_strdup(path);
    listener->fd = listener->stop_pipe[0] = listener->stop_pipe[1] = -1;
    int rc = bind_socket(listener, error);
    if (rc == 0 && pipe(listener->stop_pipe) != 0)
        rc = error_errno(error, "cannot make a pipe");
    for (int i = 0; rc == 0 && i < 2; i++)
        (void) fcntl(listener->stop_pipe[i], F_SETFD, FD_CLOEXEC);
    if (rc == 0)
        rc = thread_start(&listener->thread, "accept", accept_loop, listener, error);
    listener->started = rc == 0;
    if (rc != 0) {
        rpc_listener_close(listener);
        return rc;
    }
    *out_listener = listener;
    return 0;
}

/* The path may be another server's by now. */
static void remove_path(const struct rpc_listener *listener)
{
    struct stat now;
    if (listener->bound.st_ino != 0 && lstat(listener->path, &now) == 0 &&
        now.st_ino == listener->bound.st_ino && now.st_dev == listener->bound.st_dev)
        (void) unlink(listener->path);
}

void rpc_listener_close(struct rpc_listener *listener)
{
    if (!listener)
        return;
    fd_close(&listener->stop_pipe[1]);
    if (listener->started)
        (void) pthread_join(listener->thread, NULL);
    fd_close(&listener->stop_pipe[0]);
    remove_path(listener);
    fd_close(&listener->fd);
    mem_free(&listener->path);
    free(listener);
}
