/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "tests/darwin/internal.h"

/* In no header: the working directory of this thread alone, -1 for that of the process. */
int pthread_fchdir_np(int fd);

static struct sockaddr_un convert(const struct sockaddr *address)
{
    struct darwin_sockaddr_un given;
    struct sockaddr_un converted = {.sun_family = AF_UNIX};
    memcpy(&given, address, sizeof given);
    memcpy(converted.sun_path, given.sun_path, sizeof given.sun_path);
    return converted;
}

/* Sources have no sockets but those with a path. */
int darwin_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    struct sockaddr_un converted = convert(address);
    (void) size;
    if (!text_is_utf8(converted.sun_path) && darwin_has_loss(LOSS_NAMES)) {
        errno = EILSEQ;
        return -1;
    }
    int result = bind(fd, (const struct sockaddr *) &converted, sizeof converted);
    if (result == 0 && darwin_has_loss(LOSS_BSD_GROUP)) {
        int dirfd = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        take_group_of_directory(dirfd, converted.sun_path);
        (void) close(dirfd);
    }
    return result;
}

int darwin_connect(int fd, const struct sockaddr *address, socklen_t size)
{
    struct sockaddr_un converted = convert(address);
    (void) size;
    return connect(fd, (const struct sockaddr *) &converted, sizeof converted);
}

/* The first thread is the one whose directory is that of the process. */
static int return_to_process(void)
{
    char path[64];
    (void) snprintf(path, sizeof path, "/proc/%d/cwd", (int) getpid());
    return chdir(path);
}

int pthread_fchdir_np(int fd)
{
    if (unshare(CLONE_FS) != 0)
        return -1;
    return fd < 0 ? return_to_process() : fchdir(fd);
}
