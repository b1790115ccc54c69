/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <sys/types.h>

#include "base/bulk.h"
#include "base/cancel.h"
#include "base/error.h"
#include "tree/hardlinks.h"
#include "tree/os.h"
#include "tree/walk.h"

/* One clone of a tree in the making; shared by its threads. */
struct clone {
    const struct cancel *cancel; /* set once, as all up to the atomics */
    struct walk *walk;
    struct hardlinks hardlinks;
    const struct path_list *fixups; /* whole directories may be cloned, and are repaired; or NULL */
    bool made_owner_known;          /* what is made here belongs to made_uid and made_gid */
    uid_t made_uid;
    gid_t made_gid;
    struct bulk *bulk;
    unsigned group_bits;         /* os_group_bits of the volume, where both trees are as a rule */
    mode_t made_mode_mask;       /* the permissions that creation is known to grant */
    atomic_bool reflink_refused; /* by the volume: not tried again for each file */
    atomic_uint refusals;        /* that may have been about a file alone */
    atomic_bool whole_refused;   /* the same of whole directories */
    atomic_ullong entries;
    atomic_ullong bytes_shared;
    atomic_ullong bytes_copied;
};

/* An entry of the origin, open. */
struct clone_origin {
    int fd; /* for reading if a regular file or a directory, else a handle */
    struct os_stat stat;
};

/* clone_linux.c, clone_darwin.c. None of these takes a lock. */

/* Makes the root directory name in dirfd, mode 0700 for now, and finds out what owner and mode new
 * files get. Returns it open, or an error code: ERROR_EXISTS if the name is taken. */
int clone_make_root(struct clone *clone, int dirfd, const char *name, struct error *error);

/* Makes the directory name in dirfd, with the permissions of its origin and, for now, all of them
 * for its owner. */
int clone_make_dir(const struct os_stat *origin, int dirfd, const char *name, struct error *error);

/* Makes an open directory, which gets its attributes when all is made in it (clone_dir_attributes),
 * ready for that: mode 0700, no flags, and nothing of it is inherited. With made_owner_known and
 * made_mode_mask of clone as they are at first, any mode and owner are set. */
int clone_ready_dir(int fd, struct error *error);

/* Opens the entry name of dirfd, which is of the given type (DT_...); ERROR_PRECONDITION if it is
 * not, or is a mount point. Release with clone_origin_close. */
int clone_origin_open(struct clone_origin *origin, int dirfd, const char *name, int type,
                      struct error *error);

/* For owned(); repeatable. */
void clone_origin_close(struct clone_origin *origin);

/* Makes name in dirfd an equal of origin, which is anything but a directory. Immutable and
 * append-only flags are left out unless with_flags. */
int clone_entry(struct clone *clone, const struct clone_origin *origin, int dirfd, const char *name,
                bool with_flags, struct error *error);

/* Gives the directory target_fd, all entries of which are made, the attributes of origin. For the
 * root, which is still to be changed, flags are left out. */
int clone_dir_attributes(struct clone *clone, const struct clone_origin *origin, int target_fd,
                         bool is_root, struct error *error);

/* Whether a directory, which origin is, has nothing beyond its mode, owner and times, as far as
 * clones keep it: 1, 0 or an error code. */
int clone_dir_is_plain(const struct clone_origin *origin, struct error *error);

/* Gives the directory fd, which has mode 0700, those attributes of such a one. */
int clone_plain_dir_attributes(const struct os_stat *stat, int fd, struct error *error);

/* Makes the new file name in dirfd, mode 0600, that shares all data of source, and opens it for
 * reading and writing. 1, or 0 and errno if that is not possible here (EINVAL: not for this file),
 * -1 and errno on other failures; then nothing is left. */
int clone_share_file(int source_fd, int dirfd, const char *name, int *out_fd);

/* Makes name in dirfd a clone of the directory source_name of source_dirfd, with all below it, by
 * one call, which brings along what tree/fixups.h does not list. 1, or 0 and errno if that is not
 * possible (here, or for this one), -1 and errno on other failures; then nothing is left. */
int clone_whole_dir(int source_dirfd, const char *source_name, int dirfd, const char *name);

/* Gives what is open as fd, such a clone of what is open as origin_fd, what it lacks; its ACL if
 * with_acl, immutable and append-only flags if with_locks, else they are taken off. */
int clone_repair(int origin_fd, int fd, bool with_acl, bool with_locks, struct error *error);

/* What tree_clone_method_name answers for TREE_CLONE_REFLINK. */
extern const char clone_reflink_name[];

/* clone_copy.c: copies size bytes where data is not shared, holes excepted, and adds what was
 * copied to *copied_bytes. ERROR_CANCELLED, ERROR_PRECONDITION if the file shrinks meanwhile. */
int clone_copy(int source_fd, int target_fd, uint64_t size, const struct cancel *cancel,
               atomic_ullong *copied_bytes, struct error *error);
