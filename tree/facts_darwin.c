/* SPDX-License-Identifier: Apache-2.0 */
#include "tree/facts_os.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/clonefile.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "tree/acl_darwin.h"
#include "tree/clone_id_darwin.h"
#include "tree/facts_darwin.h"
#include "tree/xattr_darwin.h"

void facts_file_system(int fd, char *out_name, size_t size)
{
    char text[128] = "unknown";
    struct statfs status;
    if (fstatfs(fd, &status) == 0) {
        (void) snprintf(out_name, size, "%s", status.f_fstypename);
        return;
    }
    (void) strerror_r(errno, text, sizeof text);
    (void) snprintf(out_name, size, "%s", text);
}

bool facts_clones_directories(int dirfd)
{
    if (mkdirat(dirfd, "tree", 0700) != 0 || mkdirat(dirfd, "tree/below", 0700) != 0 ||
        clonefileat(dirfd, "tree", dirfd, "tree-clone", CLONE_NOFOLLOW) != 0)
        return false;
    errno = 0;
    return faccessat(dirfd, "tree-clone/below", F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool facts_tells_what_is_shared(int origin_fd, int clone_fd)
{
    return clone_id_equal(origin_fd, clone_fd);
}

bool facts_exchange(int dirfd, const char *a, const char *b)
{
    return renameatx_np(dirfd, a, dirfd, b, RENAME_SWAP) == 0;
}

bool facts_set_xattr(int fd, const char *name, const void *value, size_t size)
{
    return fsetxattr(fd, name, value, size, 0, 0) == 0;
}

/* The GUID of a local user ends with the number: 12345. */
bool facts_set_acl(int fd)
{
    static const char text[] = "!#acl 1\nuser:FFFFEEEE-DDDD-CCCC-BBBB-AAAA00003039:::allow:read\n";
    return acl_text_set(fd, text, sizeof text - 1) == 0 && acl_text_exists(fd);
}

/* There are no capabilities; an attribute of their name would be one like others. */
bool facts_set_capability(int fd)
{
    (void) fd;
    errno = ENOTSUP;
    return false;
}

const struct fact_list *const *facts_of_system(size_t *out_count)
{
    static const struct fact_list *const lists[] = {&facts_of_file_clones, &facts_of_tree_clones,
                                                    &facts_of_sharing, &facts_of_calls};
    *out_count = sizeof lists / sizeof lists[0];
    return lists;
}
