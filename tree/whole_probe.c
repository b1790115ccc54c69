/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/whole_probe.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "tree/clone.h"
#include "tree/tree.h"

static const char origin_name[] = ".clonefs-probe.dir";
static const char clone_name[] = ".clonefs-probe.dir-clone";

/* A birth is not later than the last change, so the two differ. */
static const struct timespec birth_time = {.tv_sec = 900000000, .tv_nsec = 987654321};
static const struct timespec old_time = {.tv_sec = 1000000000, .tv_nsec = 123456789};

enum { OWNER = 12345 };

/* Attributes that the volume or the caller cannot set are no part of the question. */
static bool make_file(int dirfd, const char *name, mode_t mode)
{
    owned(fd_close) int fd =
        openat(dirfd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || pwrite(fd, name, strlen(name), 0) != (ssize_t) strlen(name))
        return false;
    (void) fchown(fd, OWNER, OWNER);
    (void) os_xattr_set(fd, "user.clonefs", "value", 5);
    if (fchmod(fd, mode) != 0 || futimens(fd, (const struct timespec[]){old_time, old_time}) != 0)
        return false;
    (void) os_set_birth(fd, &birth_time);
    (void) os_change_flags(fd, OS_FLAG_HIDDEN | OS_FLAG_NODUMP, true);
    return true;
}

static bool make_old(int dirfd, const char *name)
{
    return utimensat(dirfd, name, (const struct timespec[]){old_time, old_time},
                     AT_SYMLINK_NOFOLLOW) == 0;
}

static bool make_origin(int dirfd)
{
    owned(fd_close) int fd = fd_make_dir(dirfd, origin_name, 0700, NULL);
    if (fd < 0 || mkdirat(fd, "below", 0750) != 0)
        return false;
    owned(fd_close) int below_fd = fd_open_dir(fd, "below");
    return below_fd >= 0 && make_file(below_fd, "file", 0640) &&
           make_file(below_fd, "sticky", 01604) && symlinkat("nowhere", below_fd, "link") == 0 &&
           make_old(below_fd, "link") && mkdirat(fd, "empty", 0705) == 0 && make_old(fd, "empty") &&
           make_old(fd, "below");
}

static bool repair(int origin_fd, int clone_fd, const char *name, struct error *error)
{
    owned(fd_close) int from_fd = os_open_dir(origin_fd, name);
    owned(fd_close) int to_fd = os_open_dir(clone_fd, name);
    if (from_fd >= 0 && to_fd >= 0)
        return clone_repair(from_fd, to_fd, false, true, error) == 0;
    (void) error_errno(error, "cannot open the folder %s", name);
    return false;
}

static bool repair_all(int dirfd, struct error *error)
{
    owned(fd_close) int origin_fd = os_open_dir(dirfd, origin_name);
    owned(fd_close) int clone_fd = os_open_dir(dirfd, clone_name);
    return origin_fd >= 0 && clone_fd >= 0 && repair(origin_fd, clone_fd, "below", error) &&
           repair(origin_fd, clone_fd, "empty", error) && repair(origin_fd, clone_fd, ".", error);
}

static bool is_equal(int dirfd)
{
    owned(mem_free) char *difference = NULL;
    struct error error = {0};
    if (repair_all(dirfd, &error) &&
        tree_compare(dirfd, origin_name, dirfd, clone_name, &difference, &error) == 0)
        return true;
    log_warn("directories are not cloned by one call, which loses more here than is known: %s",
             difference ? difference : error.message);
    return false;
}

static void clean(int dirfd)
{
    (void) tree_remove(dirfd, origin_name, NULL, NULL);
    (void) tree_remove(dirfd, clone_name, NULL, NULL);
}

bool whole_probe(int dirfd)
{
    clean(dirfd);
    bool works = make_origin(dirfd) && clone_whole_dir(dirfd, origin_name, dirfd, clone_name) > 0 &&
                 is_equal(dirfd);
    clean(dirfd);
    return works;
}
