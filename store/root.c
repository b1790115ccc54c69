/* SPDX-License-Identifier: Apache-2.0 */
#include "store/root.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/fd.h"
#include "base/id_list.h"
#include "base/mem.h"
#include "base/volume.h"

/* The folder above must be there: a root on a volume that is not mounted should not appear beside
 * it. */
static int open_folder(const char *path, struct store_root *root, struct error *error)
{
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "cannot make the root %s (the folder above it must exist)", path);
    root->path = realpath(path, NULL);
    if (!root->path)
        return error_errno(error, "cannot open the root %s", path);
    root->fd = fd_open_dir(AT_FDCWD, root->path);
    if (root->fd < 0)
        return error_errno(error, "cannot open the root %s", path);
    if (fchmod(root->fd, 0700) != 0)
        return error_errno(error, "cannot set the mode of the root %s", path);
    return 0;
}

static int take_lock(struct store_root *root, struct error *error)
{
    root->lock_fd = openat(root->fd, "lock", O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (root->lock_fd < 0)
        return error_errno(error, "cannot open the lock of the root %s", root->path);
    bool locked = flock(root->lock_fd, LOCK_EX | LOCK_NB) == 0;
    if (!locked && errno == EWOULDBLOCK) {
        char holder[32] = "";
        (void) fd_read_small(root->fd, "lock", holder, sizeof holder);
        return error_set(error, ERROR_PRECONDITION,
                         "the root %s is in use by another clonefsd (pid %.*s): stop that one, or "
                         "give this one another --root",
                         root->path, (int) strcspn(holder, " \n"), holder);
    }
    if (!locked)
        return error_errno(error, "cannot lock the root %s", root->path);
    char line[128];
    char boot_id[64] = "unknown";
    (void) clock_boot_id(boot_id);
    int length = snprintf(line, sizeof line, "%ld %s\n", (long) getpid(), boot_id);
    if (ftruncate(root->lock_fd, 0) != 0 || pwrite(root->lock_fd, line, (size_t) length, 0) < 0)
        return error_errno(error, "cannot write the lock of the root %s", root->path);
    return 0;
}

static int make_subfolder(const struct store_root *root, const char *name, struct error *error)
{
    int fd = fd_make_dir(root->fd, name, 0700, error);
    if (fd >= 0 && !volume_is_same(root->fd, fd)) {
        fd_close(&fd);
        return error_set(error, ERROR_PRECONDITION,
                         "%s/%s is on another volume than %s: unmount it, since clones and renames "
                         "do not cross volumes; all of the root must be on one",
                         root->path, name, root->path);
    }
    return fd;
}

int store_root_open(const char *path, struct store_root *out_root, struct error *error)
{
    struct store_root root = STORE_ROOT_NULL;
    int rc = open_folder(path, &root, error);
    if (rc == 0)
        rc = take_lock(&root, error);
    int meta_fd = rc == 0 ? make_subfolder(&root, "meta", error) : rc;
    if (meta_fd >= 0)
        root.trees_fd = make_subfolder(&root, "trees", error);
    if (root.trees_fd >= 0)
        root.trash_fd = make_subfolder(&root, "trash", error);
    fd_close(&meta_fd);
    if (root.trash_fd < 0) {
        store_root_close(&root);
        return error->code;
    }
    *out_root = root;
    return 0;
}

void store_root_close(struct store_root *root)
{
    fd_close(&root->trash_fd);
    fd_close(&root->trees_fd);
    fd_close(&root->lock_fd);
    fd_close(&root->fd);
    mem_free(&root->path);
}

static bool folder_is_empty(int dirfd)
{
    owned(id_list_clear) struct id_list list = {0};
    return id_list_read(&list, dirfd, NULL) == 0 && list.count == 0;
}

bool store_root_is_empty(const struct store_root *root)
{
    return folder_is_empty(root->trees_fd) && folder_is_empty(root->trash_fd);
}
