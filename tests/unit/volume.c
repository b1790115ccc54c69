/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/unit/volume.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/mem.h"
#include "tests/unit/fold_volume.h"

extern char **environ;

/* Runs a program without output. True if it exits with 0. */
static bool run(const char *const argv[])
{
    posix_spawn_file_actions_t actions;
    (void) posix_spawn_file_actions_init(&actions);
    (void) posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
    (void) posix_spawn_file_actions_adddup2(&actions, 1, 2);
    pid_t child;
    int status = -1;
    int rc = posix_spawnp(&child, argv[0], &actions, NULL, (char *const *) argv, environ);
    (void) posix_spawn_file_actions_destroy(&actions);
    return rc == 0 && waitpid(child, &status, 0) == child && status == 0;
}

/* A namespace of our own, once: mounts in it end with the last process of the test. */
static bool enter_namespace(void)
{
    static bool entered;
    if (!entered)
        entered =
            unshare(CLONE_NEWNS) == 0 && mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
    return entered;
}

static bool make_image(const char *kind, const char *image, unsigned size_mib)
{
    int fd = open(image, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return false;
    bool sized = ftruncate(fd, (off_t) size_mib << 20) == 0;
    (void) close(fd);
    if (!sized)
        return false;
    if (strcmp(kind, "xfs") == 0)
        return run((const char *[]){"mkfs.xfs", "-q", "-m", "reflink=1", image, NULL});
    if (strcmp(kind, "btrfs") == 0)
        return run((const char *[]){"mkfs.btrfs", "-q", image, NULL});
    return run((const char *[]){"mkfs.ext4", "-q", "-F", image, NULL});
}

/* The reason why it could not be mounted, or NULL. */
static const char *mount_loop(const char *kind, const char *path, unsigned size_mib)
{
    char *image = mem_printf("%s.img", path);
    const char *reason = NULL;
    if (!make_image(kind, image, size_mib))
        reason = "its mkfs does not work here";
    else if (!run((const char *[]){"mount", "-t", kind, "-o", "loop", image, path, NULL}))
        reason = "no loop device, or no such file system";
    (void) unlink(image); /* the loop device keeps it */
    mem_free(&image);
    return reason;
}

static const char *mount_tmpfs(const char *path, unsigned size_mib)
{
    char options[32];
    (void) snprintf(options, sizeof options, "size=%um", size_mib);
    return mount("tmpfs", path, "tmpfs", 0, options) == 0 ? NULL : "no tmpfs";
}

static const char given_variable[] = "CLONEFS_MOUNTED_VOLUME";

const char *volume_kind(const char *kind)
{
    static char given_kind[32];
    const char *given = getenv(given_variable);
    if (!given)
        return kind;
    size_t length = strcspn(given, ":");
    (void) snprintf(given_kind, sizeof given_kind, "%.*s", (int) length, given);
    return strcmp(kind, "xfs") == 0 && given[length] == ':' ? given_kind : NULL;
}

static bool is_apfs(const char *kind)
{
    return strncmp(kind, "apfs", 4) == 0;
}

bool volume_has(const char *kind, enum volume_feature feature)
{
    switch (feature) {
    case VOLUME_REFLINKS:
        return strcmp(kind, "xfs") == 0 || strcmp(kind, "btrfs") == 0 || is_apfs(kind);
    case VOLUME_EXTENTS:
    case VOLUME_HOLES:
    case VOLUME_XATTRS:
        break;
    }
    return !is_apfs(kind); /* as Linux has it */
}

/* A folder on the volume that is given; NULL for the kinds that are not. */
static char *make_given(const char *kind)
{
    if (!volume_kind(kind))
        return NULL;
    char *path = mem_printf("%s/clonefs-volume-XXXXXX", strchr(getenv(given_variable), ':') + 1);
    if (mkdtemp(path))
        return path;
    printf("skip: no folder %s: %s\n", path, strerror(errno));
    mem_free(&path);
    return NULL;
}

char *volume_mount(const char *kind, unsigned size_mib)
{
    if (getenv(given_variable))
        return make_given(kind);
    const char *base = getenv("TMPDIR");
    char *path = mem_printf("%s/clonefs-volume-XXXXXX", base ? base : "/tmp");
    const char *reason = NULL;
    if (!mkdtemp(path)) {
        reason = "no directory for it";
    } else {
        if (geteuid() != 0 || !enter_namespace())
            reason = "needs root and a mount namespace";
        else if (strcmp(kind, "tmpfs") == 0)
            reason = mount_tmpfs(path, size_mib);
        else if (strcmp(kind, "fold") == 0)
            reason = fold_volume_mount(path);
        else
            reason = mount_loop(kind, path, size_mib);
        if (reason)
            (void) rmdir(path);
    }
    if (!reason)
        return path;
    printf("skip: no %s volume: %s\n", kind, reason);
    mem_free(&path);
    return NULL;
}

void volume_unmount(char *take_path)
{
    if (!take_path)
        return;
    if (!getenv(given_variable) && umount2(take_path, 0) != 0)
        (void) umount2(take_path, MNT_DETACH);
    (void) rmdir(take_path);
    mem_free(&take_path);
}
