/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/peer.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"

/* Linux gives the path the mode of the unbound socket less the umask: no instant with a wider one.
 */
int peer_socket(void)
{
    owned(fd_close) int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || fchmod(fd, 0600) != 0)
        return -1;
    return fd_take(&fd);
}

int peer_accept(int listener_fd)
{
    return accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
}

bool peer_is_trusted(int fd)
{
    struct ucred credentials;
    socklen_t size = sizeof credentials;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) != 0)
        return false;
    return credentials.uid == 0 || credentials.uid == geteuid();
}
