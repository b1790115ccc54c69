/* SPDX-License-Identifier: Apache-2.0 */
#include "store/root.h"

#include <dirent.h>
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

static bool is_one_of(const char *name, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

static bool has_file(int dirfd, const char *path)
{
    struct stat found;
    return fstatat(dirfd, path, &found, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(found.st_mode);
}

/* The name of an entry that a folder without a store may not have if it is to become a root, or "".
 * What mkfs makes is no such entry, nor what macOS finds or makes on a volume, nor what a first
 * start leaves that was cut short: it begins with the lock. */
static int find_foreign(int root_fd, char out_name[NAME_MAX + 1], struct error *error)
{
    static const char *const harmless[] = {".",
                                           "..",
                                           "lost+found",
                                           ".fseventsd",
                                           ".metadata_never_index",
                                           ".Spotlight-V100",
                                           ".TemporaryItems",
                                           ".Trashes",
                                           ".DS_Store"};
    static const char *const begun[] = {"lock",  "uuid",   "uuid.new", "meta",
                                        "trees", "layers", "trash",    "content"};
    size_t begun_count = has_file(root_fd, "lock") ? sizeof begun / sizeof begun[0] : 0;
    int fd = fd_open_dir(root_fd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        fd_close(&fd);
        return error_errno(error, "cannot read this folder");
    }
    out_name[0] = '\0';
    errno = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own */
    for (struct dirent *entry; !out_name[0] && (entry = readdir(dir));)
        if (!is_one_of(entry->d_name, harmless, sizeof harmless / sizeof harmless[0]) &&
            !is_one_of(entry->d_name, begun, begun_count))
            (void) snprintf(out_name, NAME_MAX + 1, "%s", entry->d_name);
    int rc = errno && !out_name[0] ? error_errno(error, "cannot read this folder") : 0;
    (void) closedir(dir);
    return rc;
}

/* Somebody else's folder must not become a root by a slip of the hand. A store that lost its
 * database or its uuid is a store all the same; store_open says what is to be done. */
static int check_folder(int root_fd, bool must_exist, struct error *error)
{
    bool has_database = has_file(root_fd, "meta/data.mdb");
    char name[NAME_MAX + 1] = "";
    if (must_exist && !has_database)
        return error_set(error, ERROR_PRECONDITION,
                         "there is no store of clonefs in this folder (no meta/data.mdb): give "
                         "--root the folder that the daemon uses");
    if (has_database || has_file(root_fd, "uuid"))
        return 0;
    int rc = find_foreign(root_fd, name, error);
    if (rc == 0 && name[0])
        rc = error_set(error, ERROR_PRECONDITION,
                       "this folder has files (%s) and no store of clonefs: give --root an empty "
                       "folder, or one that does not exist yet, or mount the volume that has the "
                       "store",
                       name);
    return rc;
}

/* The folder above must be there: a root on a volume that is not mounted should not appear beside
 * it. */
static int open_folder(const char *path, bool must_exist, struct store_root *root,
                       struct error *error)
{
    if (!must_exist && mkdir(path, 0700) != 0 && errno != EEXIST)
        return error_errno(error, "cannot make the root %s (the folder above it must exist)", path);
    root->path = realpath(path, NULL);
    if (!root->path)
        return error_errno(error, "cannot open the root %s", path);
    root->fd = fd_open_dir(AT_FDCWD, root->path);
    if (root->fd < 0)
        return error_errno(error, "cannot open the root %s", path);
    int rc = check_folder(root->fd, must_exist, error);
    if (rc == 0 && fchmod(root->fd, 0700) != 0)
        rc = error_errno(error, "cannot set the mode of the root %s", path);
    return rc;
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

/* The folder of the last component of path, in dirfd; path is below the root, for people. */
static int make_subfolder(const struct store_root *root, int dirfd, const char *path,
                          struct error *error)
{
    const char *slash = strrchr(path, '/');
    int fd = fd_make_dir(dirfd, slash ? slash + 1 : path, 0700, error);
    if (fd >= 0 && !volume_is_same(root->fd, fd)) {
        fd_close(&fd);
        return error_set(error, ERROR_PRECONDITION,
                         "%s/%s is on another volume than %s: unmount it, since clones and renames "
                         "do not cross volumes; all of the root must be on one",
                         root->path, path, root->path);
    }
    return fd;
}

/* What is made here must be as durable as the blobs in it. */
static int flush_folder(const struct store_root *root, int fd, struct error *error)
{
    return fsync(fd) == 0
               ? 0
               : error_errno(error, "cannot flush the folders of the root %s", root->path);
}

static int make_blob_folders(struct store_root *root, int content_fd, struct error *error)
{
    owned(fd_close) int blobs_fd = make_subfolder(root, content_fd, "content/blobs", error);
    if (blobs_fd < 0)
        return blobs_fd;
    for (size_t i = DIGEST_SHA256; i <= DIGEST_SHA512; i++) {
        char path[64];
        (void) snprintf(path, sizeof path, "content/blobs/%s",
                        digest_algorithm_name((enum digest_algorithm) i));
        root->blob_fds[i] = make_subfolder(root, blobs_fd, path, error);
        if (root->blob_fds[i] < 0)
            return root->blob_fds[i];
    }
    return flush_folder(root, blobs_fd, error);
}

static int make_content_folders(struct store_root *root, struct error *error)
{
    owned(fd_close) int content_fd = make_subfolder(root, root->fd, "content", error);
    if (content_fd < 0)
        return content_fd;
    root->ingest_fd = make_subfolder(root, content_fd, "content/ingest", error);
    if (root->ingest_fd < 0)
        return root->ingest_fd;
    int rc = make_blob_folders(root, content_fd, error);
    return rc == 0 ? flush_folder(root, content_fd, error) : rc;
}

static int make_folders(struct store_root *root, struct error *error)
{
    owned(fd_close) int meta_fd = make_subfolder(root, root->fd, "meta", error);
    if (meta_fd < 0)
        return meta_fd;
    root->trees_fd = make_subfolder(root, root->fd, "trees", error);
    if (root->trees_fd < 0)
        return root->trees_fd;
    root->layers_fd = make_subfolder(root, root->fd, "layers", error);
    if (root->layers_fd < 0)
        return root->layers_fd;
    root->trash_fd = make_subfolder(root, root->fd, "trash", error);
    return root->trash_fd < 0 ? root->trash_fd : make_content_folders(root, error);
}

static int open_root(const char *path, bool must_exist, struct store_root *out_root,
                     struct error *error)
{
    struct store_root root = STORE_ROOT_NULL;
    int rc = open_folder(path, must_exist, &root, error);
    if (rc == 0)
        rc = take_lock(&root, error);
    if (rc == 0)
        rc = make_folders(&root, error);
    if (rc != 0) {
        store_root_close(&root);
        return rc;
    }
    *out_root = root;
    return 0;
}

int store_root_open(const char *path, struct store_root *out_root, struct error *error)
{
    return open_root(path, false, out_root, error);
}

int store_root_open_existing(const char *path, struct store_root *out_root, struct error *error)
{
    return open_root(path, true, out_root, error);
}

void store_root_close(struct store_root *root)
{
    for (size_t i = 0; i <= DIGEST_SHA512; i++)
        fd_close(&root->blob_fds[i]);
    fd_close(&root->ingest_fd);
    fd_close(&root->trash_fd);
    fd_close(&root->layers_fd);
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

static bool has_no_blob(int dirfd, enum digest_algorithm algorithm)
{
    int fd = fd_open_dir(dirfd, ".");
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        fd_close(&fd);
        return false;
    }
    struct digest digest;
    bool found = false;
    errno = 0;
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): the stream is this call's own */
    for (struct dirent *entry; !found && (entry = readdir(dir));)
        found = digest_from_hex(algorithm, entry->d_name, &digest);
    bool empty = !found && errno == 0;
    (void) closedir(dir);
    return empty;
}

bool store_root_is_empty(const struct store_root *root)
{
    bool empty = folder_is_empty(root->trees_fd) && folder_is_empty(root->layers_fd) &&
                 folder_is_empty(root->trash_fd) && folder_is_empty(root->ingest_fd);
    for (size_t i = DIGEST_SHA256; empty && i <= DIGEST_SHA512; i++)
        empty = has_no_blob(root->blob_fds[i], (enum digest_algorithm) i);
    return empty;
}
