/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/*
 * The metadata database (LMDB in ROOT/meta). It is the truth about the store: what it does not
 * name on disk is garbage.
 *
 * Reads see one consistent state, never wait for writers, and must be short: never across a wait
 * for a client. Writes run one after the other, several callers' changes in one durable commit
 * (group commit). All calls are thread-safe; one transaction belongs to one thread.
 */
struct store;
struct shared_read;
struct MDB_txn;

#define STORE_FORMAT 2

/* Who keeps readers and the writer apart. */
enum store_locks {
    STORE_LOCKS_DEFAULT, /* whichever this system does well */
    STORE_LOCKS_LMDB,    /* LMDB, by a file that processes share */
    STORE_LOCKS_OWN      /* this process alone (store/shared_reads.h) */
};

struct store_options {
    const char *boot_id; /* of the machine now; "" = unknown, counts as the same as before */
    uint64_t map_bytes; /* address space to reserve; 0 = default. The database grows beyond it if it
                           must, at the price of one short pause */
    enum store_locks locks;
};

/*
 * Opens the database in ROOT/meta, or makes a new one. root_dirfd stays the caller's, who has the
 * root's lock: no other process opens the same database. The store's
 * UUID stands in the database and in ROOT/uuid: data folders without their database, or with
 * a foreign one, and a newer format are ERROR_PRECONDITION, with a text that says what to do.
 * data_empty says whether ROOT's data folders are empty, which allows a new database.
 */
int store_open(int root_dirfd, bool data_empty, const struct store_options *options,
               struct store **out_store, struct error *error);
void store_close(struct store *store); /* NULL is allowed; no transaction may be open */

/* The store's UUID as text; lives as long as the store. */
const char *store_uuid(const struct store *store);

/* True if the machine went down since the store was last open, without the daemon having said that
 * all was flushed. */
bool store_was_rebooted(const struct store *store);

struct store_txn {
    struct store *store; /* NULL when not open */
    struct MDB_txn *mdb;
    struct shared_read *shared; /* whose transaction this reader shares; NULL: it has its own */
    bool changed;               /* a write happened since the change function was entered */
};

#define STORE_TXN_NULL ((struct store_txn){0})

/* Begins reading. End with store_read_end (repeatable, usable with owned()). */
int store_read_begin(struct store *store, struct store_txn *out_txn, struct error *error);
void store_read_end(struct store_txn *txn);

/*
 * A change runs inside the write transaction: checks first, then writes, and does nothing else: no
 * files, no waiting. It may be run again from the start, so it sets its outputs anew each time.
 * A negative answer refuses the change, and only this one.
 */
typedef int store_change(struct store_txn *txn, void *context, struct error *error);

/*
 * Runs a change and makes it durable; other callers' changes may share the commit. Returns what
 * run returned, or the commit's failure, after which nothing of it is there. Should the drive fail
 * to flush what is committed already (macOS), the next start decides that, and until then every
 * change fails. Blocks for one or two flushes of the disk.
 */
int store_write(struct store *store, store_change *run, void *context, struct error *error);

/* Notes, in the transaction that marks what a reboot may have damaged, that this was done; until
 * then every opening finds the reboot again. */
int store_note_boot(struct store_txn *txn, struct error *error);

/* A new id: positive, never given out before by this store, not even before a crash. */
int store_new_id(struct store *store, uint64_t *out_id, struct error *error);
