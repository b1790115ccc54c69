/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/volume_state.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/acl.h>
#include <sys/mount.h>
#include <sys/param.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/xattr_darwin.h"

#define EXCLUDED_FROM_BACKUP "com.apple.metadata:com_apple_backup_excludeItem"

static void close_acl(acl_t *acl)
{
    if (*acl)
        (void) acl_free(*acl);
    *acl = NULL;
}

static bool is_inherited_below(acl_entry_t entry)
{
    acl_flagset_t flags = NULL;
    return acl_get_flagset_np(entry, &flags) == 0 &&
           (acl_get_flag_np(flags, ACL_ENTRY_FILE_INHERIT) == 1 ||
            acl_get_flag_np(flags, ACL_ENTRY_DIRECTORY_INHERIT) == 1);
}

static bool inherits_acl(int fd)
{
    owned(close_acl) acl_t acl = acl_get_fd_np(fd, ACL_TYPE_EXTENDED);
    acl_entry_t entry = NULL;
    int which = ACL_FIRST_ENTRY;
    for (; acl && acl_get_entry(acl, which, &entry) == 0; which = ACL_NEXT_ENTRY)
        if (is_inherited_below(entry))
            return true;
    return false;
}

static bool is_excluded_from_backup(int fd)
{
    return fgetxattr(fd, EXCLUDED_FROM_BACKUP, NULL, 0, 0, 0) >= 0;
}

static bool has(int dirfd, const char *path)
{
    return faccessat(dirfd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* What the services of the system look for at the top of a volume. */
static void read_services(int fd, struct volume_state *state)
{
    owned(fd_close) int top_fd = open(state->mount_point, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top_fd < 0)
        return;
    state->indexed = !has(top_fd, ".metadata_never_index");
    state->events_logged = !has(top_fd, ".fseventsd/no_log");
    state->backed_up = !is_excluded_from_backup(top_fd) && !is_excluded_from_backup(fd);
}

void volume_state_read(int fd, struct volume_state *state)
{
    struct statfs status;
    state->system = VOLUME_ON_MACOS;
    state->case_insensitive = fpathconf(fd, _PC_CASE_SENSITIVE) == 0;
    state->inherits_acl = inherits_acl(fd);
    if (fstatfs(fd, &status) != 0)
        return;
    (void) snprintf(state->file_system, sizeof state->file_system, "%s", status.f_fstypename);
    (void) snprintf(state->mount_point, sizeof state->mount_point, "%s", status.f_mntonname);
    state->read_only = (status.f_flags & MNT_RDONLY) != 0;
    state->no_suid = (status.f_flags & MNT_NOSUID) != 0;
    state->no_dev = (status.f_flags & MNT_NODEV) != 0;
    state->no_exec = (status.f_flags & MNT_NOEXEC) != 0;
    state->remote = (status.f_flags & MNT_LOCAL) == 0;
    state->removable = (status.f_flags & MNT_REMOVABLE) != 0;
    state->owners_ignored = (status.f_flags & MNT_IGNORE_OWNERSHIP) != 0;
    read_services(fd, state);
}
