/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/volume_state.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

/* Those that matter here; all others are as good as local ones. */
static const struct {
    unsigned long magic;
    const char *name;
} servers[] = {{NFS_SUPER_MAGIC, "nfs"}, {SMB2_SUPER_MAGIC, "smb3"}, {CIFS_SUPER_MAGIC, "cifs"}};

static void read_kind(int fd, struct volume_state *state)
{
    struct statfs status;
    if (fstatfs(fd, &status) != 0)
        return;
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++)
        if ((unsigned long) status.f_type == servers[i].magic) {
            state->remote = true;
            (void) snprintf(state->file_system, sizeof state->file_system, "%s", servers[i].name);
        }
}

/* The longest folder above that is on the same mount. */
static void find_mount_point(const char *folder, char out[VOLUME_PATH_SIZE])
{
    struct statx wanted;
    struct statx found;
    char path[VOLUME_PATH_SIZE];
    (void) snprintf(path, sizeof path, "%s", folder);
    (void) snprintf(out, VOLUME_PATH_SIZE, "%s", folder);
    if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &wanted) != 0)
        return;
    while (path[1]) {
        char *slash = strrchr(path, '/');
        slash[slash == path] = '\0';
        if (statx(AT_FDCWD, path, 0, STATX_MNT_ID, &found) != 0 ||
            found.stx_mnt_id != wanted.stx_mnt_id)
            return;
        (void) snprintf(out, VOLUME_PATH_SIZE, "%s", path);
    }
}

static bool folds_case(int fd)
{
    int flags = 0;
    return ioctl(fd, FS_IOC_GETFLAGS, &flags) == 0 && (flags & FS_CASEFOLD_FL) != 0;
}

void volume_state_read(int fd, struct volume_state *state)
{
    struct statvfs status;
    state->system = VOLUME_ON_LINUX;
    read_kind(fd, state);
    find_mount_point(state->folder, state->mount_point);
    state->case_insensitive = folds_case(fd);
    if (fstatvfs(fd, &status) != 0)
        return;
    state->read_only = (status.f_flag & ST_RDONLY) != 0;
    state->no_suid = (status.f_flag & ST_NOSUID) != 0;
    state->no_dev = (status.f_flag & ST_NODEV) != 0;
    state->no_exec = (status.f_flag & ST_NOEXEC) != 0;
}
