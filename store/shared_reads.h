/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <lmdb.h>
#include <pthread.h>
#include <stddef.h>

/*
 * Reading without LMDB's locks (MDB_NOLOCK), in a store that one process has for itself. What LMDB
 * leaves to its user then follows from its source (mdb.c of 0.9.24; 0.9.32 is the same in this):
 *
 * - Write transaction number T writes into pages that transactions up to T-2 have freed:
 *   mdb_page_alloc takes what the free list has from before mdb_find_oldest, which is T-1 where
 *   there is no table of readers. A page that K has freed belongs to states before K. So nothing
 *   that T does is seen by a reader of the states T-1 and T-2, which the commits of these numbers
 *   made; but readers of older ones must have ended when T begins.
 * - mdb_txn_begin looks for the newest state in the two meta pages (mdb_env_pick_meta), and a
 * commit overwrites one of them before it is durable. So no reader may begin during a commit.
 *
 * A commit flushes the disk, and no reader shall wait for that. So readers begin no transaction:
 * the writer makes one of each state that it has committed, and all readers of a state share it.
 * Three take turns. When T begins they are that of T-1, which readers get, that of T-2, which may
 * have readers left, and one that T will be published in and for whose readers the writer waits
 * first. Readers wait for nothing, and a writer only for those who have been reading during two
 * whole commits.
 *
 * That threads share a read transaction (MDB_NOTLS lets it go from one to another) holds because
 * nobody writes to it: reading notes in it where a table begins (DB_STALE), and that is done for
 * all tables before it is published.
 *
 * One thread at a time may be the writer; it alone calls make_room and publish.
 */

#define SHARED_READS 3

struct shared_read {
    MDB_txn *mdb;     /* set once */
    unsigned readers; /* under lock */
};

struct shared_reads {
    pthread_mutex_t lock;
    pthread_cond_t ended; /* a transaction that is not the newest lost its last reader */
    struct shared_read reads[SHARED_READS];
    unsigned newest; /* under lock */
    const MDB_dbi *tables;
    size_t table_count;
};

/* tables are the caller's and stay open. 0 or what LMDB answered. */
int shared_reads_new(MDB_env *env, const MDB_dbi *tables, size_t table_count,
                     struct shared_reads **out_reads);
void shared_reads_free(struct shared_reads *reads); /* NULL is allowed; before mdb_env_close */

/* The newest published state, to be read until it is left. */
struct shared_read *shared_reads_enter(struct shared_reads *reads);
void shared_reads_leave(struct shared_reads *reads, struct shared_read *read);

/* Waits until a write transaction may begin. */
void shared_reads_make_room(struct shared_reads *reads);

/* Shows readers the newest state of the database. Every commit must be followed by this before the
 * next transaction begins. 0, or what LMDB answered; then readers stay with what they had, and
 * nobody may write any more. */
int shared_reads_publish(struct shared_reads *reads);
