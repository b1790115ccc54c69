/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/cancel.h"
#include "base/clock.h"
#include "base/error.h"
#include "tree/fixups.h"

/*
 * Directory trees as clients of a snapshot see them. All calls take "entry NAME of directory FD",
 * the shape that clonefile(2) has, and reach every file relative to directory descriptors: names
 * are bytes, paths may be longer than PATH_MAX, links are never followed and mount points never
 * crossed (invariant 9). Where NAME is given as a path, only its last component is guarded so.
 * Descriptors and memory are bounded whatever the shape of a tree: some 100 descriptors, a few MiB.
 * Calls are thread-safe; they block on the disk, never on anything else. A message names the entry
 * that failed by its path below the root.
 */

/* What a volume can do, found out by trying (tree_probe). */
enum tree_clone_method {
    TREE_CLONE_REFLINK, /* FICLONE, clonefile: data shared, copy-on-write */
    TREE_CLONE_COPY     /* byte copy, the honest fallback */
};

struct tree_abilities {
    enum tree_clone_method method;
    bool clones_directories;  /* one call clones a directory and all below it */
    bool tells_private_sizes; /* what a file has for itself, once it is on disk */
    bool tells_shared_data;   /* that two files have all their data in the same place */
};

/* Tries a real clone of a small file and of a small directory in dirfd, which has to keep what
 * nothing repairs; nothing is left of them. ERROR_IO, ERROR_NO_SPACE. */
int tree_probe(int dirfd, struct tree_abilities *out_abilities, struct error *error);

/* "reflink (FICLONE)", "byte copy"; "reflink (clonefile)" on macOS */
const char *tree_clone_method_name(enum tree_clone_method method);

struct tree_clone_options {
    unsigned threads; /* at most so many walk one big tree; 0 = as many as CPUs, 4 at most */
    const struct cancel *cancel; /* polled between files; may be NULL */
    /* The origin's list: what has no special file in it is cloned by one call for each directory at
     * the top, if the volume can do that. NULL: entry by entry. */
    const struct path_list *fixups;
};

struct tree_clone_result {
    uint64_t entries;      /* files of every kind, the root included */
    uint64_t bytes_shared; /* cloned: sizes of the files, holes included */
    uint64_t bytes_copied; /* copied, because a clone was not possible; without holes */
    struct timestamp time; /* the file system's own clock after the last change that the clone made:
                              an inode whose ctime is not later is still as it was cloned, unless it
                              was changed within the same tick of that clock (some 4 ms) */
};

/*
 * Clones the tree src_name of src_dirfd to the new name dst_name in dst_dirfd (same or another
 * volume). The clone equals its origin as invariant 7 says: bytes, types, modes with set-id bits,
 * owners, atimes and mtimes to the nanosecond, xattrs (security.capability and POSIX ACLs among
 * them), hard-link groups, device nodes, FIFOs, sockets, holes, immutable, append-only and no-dump
 * flags, on macOS also birth times and the flags that only it has. Atimes of what was cloned by one
 * call with its directory are as that call leaves them. The origin must not change meanwhile; its
 * atimes stay. On failure what was made so far is left for the caller to throw away.
 * ERROR_CANCELLED if asked to stop; ERROR_EXISTS if dst_name is taken; ERROR_PRECONDITION if
 * something is mounted inside the tree (what it hides cannot be cloned), or if it is seen to
 * change; ERROR_NO_SPACE, ERROR_IO.
 */
int tree_clone(int src_dirfd, const char *src_name, int dst_dirfd, const char *dst_name,
               const struct tree_clone_options *options, struct tree_clone_result *out_result,
               struct error *error);

#define TREE_ANY_BYTES UINT64_MAX

/* Makes the new file dst_name, mode 0600, that shares all data of src_fd, and opens it for reading
 * and writing: 1, or 0 if the two cannot; then nothing was made. ERROR_NO_SPACE, ERROR_IO. */
int tree_share_file(int src_fd, int dst_dirfd, const char *dst_name, int *out_fd,
                    struct error *error);

/* Copies size bytes, holes excepted, to the empty file dst_fd. ERROR_CANCELLED, ERROR_PRECONDITION
 * if src_fd turns out to be shorter, ERROR_NO_SPACE, ERROR_IO. */
int tree_copy_file(int src_fd, int dst_fd, uint64_t size, const struct cancel *cancel,
                   struct error *error);

/* Changes the ctime of the root of a tree, and nothing else, and answers it: what is changed later
 * has a later one, but for what is changed in the same tick. ERROR_IO, ERROR_PRECONDITION for an
 * immutable one. */
int tree_mark_time(int root_fd, struct timestamp *out_time, struct error *error);

/* True if the tree has at most so many entries, and its regular files at most so many bytes (holes
 * count, and a file once for each name; TREE_ANY_BYTES asks for no size). Looks at no more entries
 * than that. A tree that cannot be read counts as large. */
bool tree_is_small(int dirfd, const char *name, uint64_t max_entries, uint64_t max_bytes);

struct tree_usage {
    uint64_t bytes;         /* 512 * st_blocks, hard links once */
    uint64_t private_bytes; /* of these, what no clone has too, where the volume tells that
                               (tree_abilities); else the same */
    uint64_t inodes;
};

/*
 * Measures the tree. With since, only inodes whose ctime is later count: what was added or
 * changed after a clone that ended at *since (tree_clone_result.time). A file of which one byte or
 * one attribute was changed counts whole in bytes, although the rest may still be shared; in
 * private_bytes it does not, but what has been cloned from it since then is missing. Mounts inside
 * are not entered and not counted. The tree may be in use. Of many entries it gives way to small
 * calls (base/small_calls.h).
 */
int tree_measure(int dirfd, const char *name, const struct timestamp *since,
                 const struct cancel *cancel, struct tree_usage *out_usage, struct error *error);

/*
 * Compares two trees entry by entry in all that tree_clone promises, but for atimes; of holes only
 * that none of the first tree is filled in the second. Neither may change. Returns 0 when equal, 1
 * when not, with the first difference (path and what differs) in *out_difference, which the caller
 * frees with mem_free; negative on errors.
 */
int tree_compare(int a_dirfd, const char *a_name, int b_dirfd, const char *b_name,
                 char **out_difference, struct error *error);

/*
 * Removes the tree name of dirfd, which may be a single file, clearing immutable and append-only
 * flags on the way. What is busy (a mount inside, EBUSY) stays, everything else goes; then
 * ERROR_BUSY is the answer and the call may be repeated later. 0 also if there was nothing. Polls
 * cancel between files.
 */
int tree_remove(int dirfd, const char *name, const struct cancel *cancel, struct error *error);
