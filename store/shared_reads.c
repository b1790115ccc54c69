/* SPDX-License-Identifier: Apache-2.0 */
#include "store/shared_reads.h"

#include <stdlib.h>

#include "base/mem.h"

/* Finds where each table begins in this state. */
static int find_tables(const struct shared_reads *reads, MDB_txn *mdb)
{
    MDB_stat ignored;
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < reads->table_count; i++)
        rc = mdb_stat(mdb, reads->tables[i], &ignored);
    return rc;
}

static void destroy(struct shared_reads *reads)
{
    for (unsigned i = 0; i < SHARED_READS; i++)
        mdb_txn_abort(reads->reads[i].mdb); /* NULL is allowed */
    (void) pthread_mutex_destroy(&reads->lock);
    (void) pthread_cond_destroy(&reads->ended);
    free(reads);
}

int shared_reads_new(MDB_env *env, const MDB_dbi *tables, size_t table_count,
                     struct shared_reads **out_reads)
{
    struct shared_reads *reads = mem_alloc(sizeof *reads);
    reads->tables = tables;
    reads->table_count = table_count;
    (void) pthread_mutex_init(&reads->lock, NULL);
    (void) pthread_cond_init(&reads->ended, NULL);
    int rc = 0;
    for (unsigned i = 0; rc == 0 && i < SHARED_READS; i++)
        rc = mdb_txn_begin(env, NULL, MDB_RDONLY, &reads->reads[i].mdb);
    if (rc == 0)
        rc = shared_reads_publish(reads);
    if (rc == 0)
        *out_reads = reads;
    else
        destroy(reads);
    return rc;
}

void shared_reads_free(struct shared_reads *reads)
{
    if (reads)
        destroy(reads);
}

struct shared_read *shared_reads_enter(struct shared_reads *reads)
{
    (void) pthread_mutex_lock(&reads->lock);
    struct shared_read *read = &reads->reads[reads->newest];
    read->readers++;
    (void) pthread_mutex_unlock(&reads->lock);
    return read;
}

void shared_reads_leave(struct shared_reads *reads, struct shared_read *read)
{
    (void) pthread_mutex_lock(&reads->lock);
    read->readers--;
    if (read->readers == 0 && read != &reads->reads[reads->newest])
        (void) pthread_cond_signal(&reads->ended);
    (void) pthread_mutex_unlock(&reads->lock);
}

/* The one whose turn is next. Only the writer changes newest, so it may read it without the lock.
 */
static unsigned next_turn(const struct shared_reads *reads)
{
    return (reads->newest + 1) % SHARED_READS;
}

void shared_reads_make_room(struct shared_reads *reads)
{
    (void) pthread_mutex_lock(&reads->lock);
    while (reads->reads[next_turn(reads)].readers > 0)
        (void) pthread_cond_wait(&reads->ended, &reads->lock);
    (void) pthread_mutex_unlock(&reads->lock);
}

/* Renewing allocates nothing. */
int shared_reads_publish(struct shared_reads *reads)
{
    unsigned turn = next_turn(reads);
    MDB_txn *mdb = reads->reads[turn].mdb;
    mdb_txn_reset(mdb);
    int rc = mdb_txn_renew(mdb);
    if (rc == 0)
        rc = find_tables(reads, mdb);
    if (rc != 0)
        return rc;
    (void) pthread_mutex_lock(&reads->lock);
    reads->newest = turn;
    (void) pthread_mutex_unlock(&reads->lock);
    return 0;
}
