/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <pthread.h>
#include <stdbool.h>

#include "base/clock.h"
#include "base/digest.h"
#include "content/ingest.h"
#include "store/ingests.h"

/*
 * All ingests, by ref. What is "under the table's lock" may be looked at by anybody; the rest of an
 * ingest belongs to the writer that holds it.
 */
struct ingest {
    struct content *content; /* set once, like the next three */
    uint64_t id;             /* names its file */
    char *ref;
    struct timestamp started;

    unsigned references; /* under the table's lock, as all below: the table's, the writer's */
    bool held;           /* a writer has it */
    bool changing;       /* is being opened, committed or aborted: others wait */
    bool gone;           /* not in the table any more */
    bool unrecorded;     /* its record is not, or not any more, what it should be */
    struct ingest *next_unrecorded;
    struct ingest *next, *previous; /* of all in the table */
    char *expected;                 /* or "" */
    uint64_t total;
    uint64_t inode;  /* of its file; 0 = unknown */
    uint64_t offset; /* bytes of data; only the writer changes it */
    struct timestamp updated;

    int fd;                    /* the writer's, as all below */
    struct digester *digester; /* of the first `digested` bytes */
    uint64_t digested;
    uint64_t pushed; /* bytes on their way to disk */
    bool doubtful;   /* the disk has failed to take some of it */
    bool has_wanted_digest;
    struct digest wanted_digest; /* what this writer announced */
    uint64_t wanted_total;
};

struct ingest_table {
    pthread_mutex_t lock;
    pthread_cond_t changed; /* an ingest is not changing any more */
    void *root;             /* tsearch(3), by ref */
    struct ingest *first;
    size_t count;
    struct ingest *unrecorded; /* list, in no order */
    size_t unrecorded_count;
};

void ingest_table_init(struct ingest_table *table);
void ingest_table_clear(struct ingest_table *table); /* nobody may hold an ingest */

/* An ingest that is in no table, with one reference. */
struct ingest *ingest_new(struct content *content, uint64_t id, const char *ref);

/* The functions from here on are called under the table's lock. */

/* NULL if there is none. */
struct ingest *ingest_table_find(struct ingest_table *table, const char *ref);

/* Adds it; the caller's reference becomes the table's. The ref must be free. */
void ingest_table_add(struct ingest_table *table, struct ingest *take_ingest);

/* Removes it: it is gone from here on. */
void ingest_table_remove(struct ingest_table *table, struct ingest *ingest);

/* The record has to be written (again). */
void ingest_table_note(struct ingest_table *table, struct ingest *ingest);

/* Takes what has to be written: an array that the caller frees, with a reference of each. */
size_t ingest_table_take_unrecorded(struct ingest_table *table, struct ingest ***out_ingests);

void ingest_unref(struct ingest *ingest);

/* Waits until nobody else changes the ingest and begins to: ERROR_NOT_FOUND when it is gone. */
int ingest_change_begin(struct ingest_table *table, struct ingest *ingest, struct error *error);

/* Ends that: with the ingest gone; or as it is, and its record, which may have been passed over
 * meanwhile, is noted to be written. */
void ingest_change_end(struct ingest_table *table, struct ingest *ingest, bool gone);
