/* SPDX-License-Identifier: Apache-2.0 */
#include "rpc/address.h"

#include <errno.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "rpc/peer.h"

int rpc_address_make(const char *path, struct sockaddr_un *out_address, struct error *error)
{
    *out_address = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (path[0] != '/')
        return error_set(error, ERROR_INVALID, "the socket path %s must be absolute", path);
    if (strlen(path) >= sizeof out_address->sun_path)
        return error_set(error, ERROR_INVALID,
                         "the socket path %s is longer than the %zu bytes that the system allows: "
                         "choose a shorter one",
                         path, sizeof out_address->sun_path - 1);
    memcpy(out_address->sun_path, path, strlen(path) + 1);
    return 0;
}

int rpc_address_probe(const struct sockaddr_un *address)
{
    owned(fd_close) int fd = peer_socket();
    if (fd < 0)
        return -1;
    if (connect(fd, (const struct sockaddr *) address, sizeof *address) == 0)
        return 0;
    return errno == EAGAIN ? 0 : -1; /* more wait to be accepted than there is room for */
}
