/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "store/shared_reads.h"
#include "store/store.h"

/* For store/ alone. */

enum store_table {
    TABLE_STORE,     /* "store" -> record Store */
    TABLE_SNAPSHOTS, /* key of a snapshot -> record Snapshot */
    TABLE_CHILDREN,  /* key of a parent -> keys of its children (DUPSORT) */
    TABLE_TREES,     /* tree id -> key of its snapshot */
    TABLE_UNFLUSHED, /* tree id -> generation */
    TABLE_BLOBS,     /* algorithm and digest -> record Blob */
    TABLE_INGESTS,   /* ingest id -> record Ingest */
    TABLE_SPARES,    /* tree id -> record Spare */
    TABLE_LAYERS,    /* layer id -> key of its snapshot */
    TABLE_COUNT
};

/* Readers pass it; growth of the map closes it, waits until all are out, and opens it again. */
struct store_gate {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned inside; /* under lock */
    bool closed;     /* under lock */
};

struct store_write_queue {
    pthread_mutex_t lock;
    struct queued_change *first; /* under lock, like all below */
    struct queued_change **last;
    bool leader; /* a thread is committing */
};

struct store {
    MDB_env *env;                /* set once */
    MDB_dbi tables[TABLE_COUNT]; /* set once */
    char uuid[40];               /* set once */
    bool was_rebooted;           /* set once */
    char boot_id[64];            /* set once */
    struct store_gate gate;
    struct shared_reads *reads; /* set once; NULL: LMDB has a table of readers */
    struct store_write_queue queue;
    bool unsure; /* of the thread that commits: what the last commit left is not known */
    pthread_mutex_t id_lock;
    uint64_t next_id;      /* under id_lock */
    uint64_t reserved_ids; /* under id_lock: ids below are reserved on disk */
};

/* Raises what LMDB answered; MDB_MAP_FULL has its own text. Returns the code. */
int store_raise(struct error *error, int mdb_rc, const char *what);

/* Get: 1 found, 0 not, negative. The value is borrowed until the transaction ends. */
int store_get(struct store_txn *txn, enum store_table table, MDB_val *key, MDB_val *out_value,
              struct error *error);
/* The first entry of an MDB_INTEGERKEY table whose id is at least *inout_id: 1, its id and its
 * value, borrowed as store_get's, or 0. */
int store_get_from(struct store_txn *txn, enum store_table table, uint64_t *inout_id,
                   MDB_val *out_value, struct error *error);
int store_put(struct store_txn *txn, enum store_table table, MDB_val *key, MDB_val *value,
              struct error *error);
/* 0 also if there was nothing. value selects one duplicate, or is NULL. */
int store_delete(struct store_txn *txn, enum store_table table, MDB_val *key, MDB_val *value,
                 struct error *error);

/* Ids as keys of MDB_INTEGERKEY tables are a size_t in native order. */
static inline MDB_val value_of(const void *data, size_t size)
{
    return (MDB_val){.mv_size = size, .mv_data = (void *) data};
}

static inline uint64_t read_u64(const MDB_val *value)
{
    uint64_t number = 0;
    memcpy(&number, value->mv_data,
           value->mv_size < sizeof number ? value->mv_size : sizeof number);
    return number;
}

/* True where LMDB's locks outlive a process that is killed. */
bool store_needs_own_locks(void);

void store_gate_init(struct store_gate *gate);
void store_gate_clear(struct store_gate *gate);
void store_gate_enter(struct store_gate *gate);
void store_gate_leave(struct store_gate *gate);
void store_gate_close(struct store_gate *gate); /* returns when nobody is inside */
void store_gate_open(struct store_gate *gate);

/* The key of a snapshot's record: 8 bytes that all of one snapshotter name share, then 32 of its
 * own. */
#define STORE_KEY_SCOPE 8
#define STORE_KEY_SIZE 40
void store_key_scope(const char *snapshotter, uint8_t out[STORE_KEY_SCOPE]);
void store_key_make(const char *snapshotter, const char *key, uint8_t out[STORE_KEY_SIZE]);

/* Record Store, read and written by env.c and ids.c. */
struct store_header {
    uint32_t format;
    char uuid[40];
    uint64_t next_id;
    char boot_id[64];
};
int store_header_get(struct store_txn *txn, struct store_header *out_header, struct error *error);
/* The same where there must be one: 0, or ERROR_CORRUPT. */
int store_header_find(struct store_txn *txn, struct store_header *out_header, struct error *error);
int store_header_put(struct store_txn *txn, const struct store_header *header, struct error *error);
