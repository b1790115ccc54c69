/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* No call makes a descriptor with both: a fork in between would inherit it, and we never fork. */
static bool set_flags(int fd)
{
    static const int on = 1;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) == 0 && fcntl(fd, F_SETFL, O_NONBLOCK) == 0 &&
           setsockopt(fd, SOL_SOCKET, SO_NOSIGPIPE, &on, sizeof on) == 0;
}

int peer_socket(void)
{
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    if (fd < 0 || !set_flags(fd) || fchmod(fd, 0600) != 0)
        return -1;
    return fd_take(&fd);
}

int peer_accept(int listener_fd)
{
    owned(fd_close) int fd = accept(listener_fd, NULL, NULL);
    if (fd < 0 || !set_flags(fd))
        return -1;
    return fd_take(&fd);
}

bool peer_is_trusted(int fd)
{
    uid_t user = 0;
    gid_t group = 0;
    return getpeereid(fd, &user, &group) == 0 && (user == 0 || user == geteuid());
}
