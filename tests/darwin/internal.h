/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "tests/darwin/calls.h"
#include "tests/darwin/include/sys/attr.h"
#include "tests/darwin/losses.h"

/* Implementation of the calls alone: what the files of this folder share. All return -1 and errno
 * unless said otherwise. */

/* Attributes of ours that keep what Linux has no place for. They are hidden from the callers. */
#define OWN_SPACE "trusted.darwin."
#define OWN_FLAGS OWN_SPACE "flags"
#define OWN_BIRTH OWN_SPACE "birth"
#define OWN_ACL OWN_SPACE "acl"
/* ... and extended attributes whose names Linux does not take. */
#define OWN_XATTR OWN_SPACE "x."

/* A path that leads to what fd is open on, a symlink itself, or to an entry of it, for calls that
 * take no handle. path.c, as all up to text_is_utf8. */
struct proc_path {
    char text[PATH_MAX + 32];
    bool follows; /* the last component is to be followed */
};

struct proc_path proc_path(int fd);

/* As the *at calls have it; flags may have AT_SYMLINK_NOFOLLOW. */
struct proc_path proc_path_at(int dirfd, const char *path, int flags);

/* The attributes of Linux. */
ssize_t proc_list(const struct proc_path *path, char *names, size_t size);
ssize_t proc_get(const struct proc_path *path, const char *name, void *value, size_t size);
int proc_set(const struct proc_path *path, const char *name, const void *value, size_t size,
             int flags);
int proc_remove(const struct proc_path *path, const char *name);

/* Whether a path may be looked up: ENAMETOOLONG. */
bool path_fits(const char *path);

/* ... or made: also EILSEQ. */
bool path_can_be_made(const char *path);

/* Gives what was just made the group of its directory, and what is inherited. Never fails. */
void take_group_of_directory(int dirfd, const char *path);

bool text_is_utf8(const char *text);

/* open.c */
int open_reading(int dirfd, const char *path);

/* flags.c. The flags of an inode, of which attributes and type are known from statx(2). */
uint32_t flags_read(const struct proc_path *path, mode_t mode, uint64_t attributes,
                    uint64_t attributes_mask);

/* True and EPERM if the flags forbid to remove or rename it. */
bool flags_forbid_removal(int dirfd, const char *path);

/* status.c. Like statx(2), with birth time and flags; *out_mount is a number of the mount. */
struct inode {
    struct darwin_stat stat;
    uint64_t mount;
    bool mount_root;
};

int inode_read(int dirfd, const char *path, int flags, struct inode *out);

/* Keeps a birth time that does not follow from the others. */
int birth_set(int fd, const struct timespec *time);

/* xattr.c. Copies all extended attributes, no flags, ACL or birth time. */
int xattrs_copy(int from_fd, int to_fd);

/* acl.c */
int acl_copy(int from_fd, int to_fd);

/* Gives what was just made the entries of its directory's ACL that are to be inherited. */
void acl_inherit(int dirfd, const char *path);

/* clone.c. Clones what is no directory. */
int clone_one(int source_fd, const struct inode *source, int dirfd, const char *path, bool in_tree,
              uint32_t flags);

/* Gives a clone the attributes of its source; its data and entries are there. */
enum clone_times { CLONE_KEEPS_TIMES, CLONE_HAS_NEW_TIMES };
int clone_attributes(int source_fd, const struct inode *source, int fd, bool with_acl,
                     bool without_set_id, enum clone_times times, uint32_t flags);

/* clone_dir.c. All or nothing. */
int clone_dir(int source_fd, const struct inode *source, int dirfd, const char *path,
              uint32_t flags);

/* extents.c. How much of a file's data nobody shares, and a number that is the same for files that
 * share all of it; 0 if there is none. */
struct extent_facts {
    uint64_t private_bytes;
    uint64_t shared_bytes;
    uint64_t id;
};

int extents_read(int fd, struct extent_facts *out);
