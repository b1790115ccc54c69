/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

/*
 * What the calls of macOS lose, forbid or add where those of Linux do not. Each can be switched, so
 * that a test shows which of our repairs a result owes itself to. All are on unless the comment
 * says otherwise. By what is known each of them is so on a Mac; where that is not certain, this
 * takes what is harder for us.
 */
enum darwin_loss {
    /* A clone of a file has no set-id bits. */
    LOSS_CLONE_SET_ID = 1 << 0,
    /* A clone of a file or the root of a cloned directory has an ACL only by CLONE_ACL. */
    LOSS_CLONE_ACL = 1 << 1,
    /* In a cloned directory each name of a file with several is a file of its own. */
    LOSS_TREE_LINKS = 1 << 2,
    /* Files in a cloned directory have no set-id bits. */
    LOSS_TREE_SET_ID = 1 << 3,
    /* Cloned directories that have entries have the time of the clone, its root too. */
    LOSS_TREE_TIMES = 1 << 4,
    /* Nothing below the root of a cloned directory has an ACL, CLONE_ACL or not. */
    LOSS_TREE_ACLS = 1 << 5,
    /* A directory that has a FIFO, socket or device somewhere is not cloned: EINVAL. */
    LOSS_TREE_SPECIAL = 1 << 6,
    /* With the last off: they are left out silently. Off at first. */
    LOSS_TREE_SPECIAL_DROPPED = 1 << 7,
    /* Immutable and other flags come with a clone, and forbid what would be done to it. */
    LOSS_CLONE_FLAGS = 1 << 8,
    /* A new owner clears set-id bits of a file. */
    LOSS_CHOWN_SET_ID = 1 << 9,
    /* What is made gets the group of its directory. */
    LOSS_BSD_GROUP = 1 << 10,
    /* A name that is not UTF-8 cannot be made: EILSEQ. */
    LOSS_NAMES = 1 << 11,
    /* Paths and targets of links end at 1023 bytes, names of extended attributes at 127. */
    LOSS_LENGTHS = 1 << 12,
    /* Every inode shows an attribute com.apple.provenance, different for each. */
    LOSS_PROVENANCE = 1 << 13,
    /* Directories cannot be cloned at all: ENOTSUP. Off at first. */
    LOSS_TREE = 1 << 14,
    /* What is made in a directory gets those entries of its ACL that are to be inherited. */
    LOSS_ACL_INHERITED = 1 << 15,
    /* Files in a cloned directory have a birth time of their own. Off at first. */
    LOSS_TREE_BIRTHS = 1 << 16,
};

/* Switches losses on or off: for this process. Others, such as a daemon that a test starts, take
 * them from the environment: CLONEFS_DARWIN_LOSSES="+TREE,-TREE_LINKS". */
void darwin_losses_set(unsigned losses, bool on);

/* All as at first, and as the environment wants them. */
void darwin_losses_reset(void);

bool darwin_has_loss(enum darwin_loss loss);

/* How many times a directory was cloned by one call so far. */
unsigned darwin_directories_cloned(void);

/* The next call that flushes a file, a drive or a volume fails with this errno. */
void darwin_flush_fails(int code);
