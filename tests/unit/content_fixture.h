/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "content/ingest.h"
#include "content/internal.h"
#include "tests/unit/scratch.h"

/*
 * A store with a content service in a folder of its own, which a test may close and open again.
 * What cannot be fails the test; functions that a test calls in its threads say so: those abort.
 */
struct content_fixture {
    struct scratch scratch;
    struct store_root root;
    struct store *store;
    struct trash *trash;
    struct content *content;
    struct content_options options; /* for the next opening */
    bool keep_trash;                /* what the sweep moves to trash stays there */
};
extern struct content_fixture fixture;

int content_fixture_set_up(void **state);
int content_fixture_tear_down(void **state);
void content_fixture_close(void); /* the test goes on with content_fixture_open */
void content_fixture_open(void);

/* Opens the store and its root without the service, to arrange what it will find. */
void content_fixture_open_store(void);
void content_fixture_close_store(void);

/* The digest of a text; threads may call it. */
struct digest digest_of_bytes(enum digest_algorithm algorithm, const void *data, size_t size);
struct digest digest_of_text(const char *text);

/* Writes the text as a blob by way of the ingest ref; the outcome of the commit, or of what failed
 * before. Threads may call it. */
int put_text(const char *ref, const char *text);
struct digest make_blob(const char *text);

/* Appends a text; threads may call it. */
int append_text(struct ingest *ingest, const char *text);

/* True if the blob can be opened and holds the text. */
bool blob_holds(const struct digest *digest, const char *text);
int open_blob(const struct digest *digest);

/* What the record says; the labels are dropped. */
struct blob_record record_of(const struct digest *digest);
int put_record(const struct blob_record *record);

/* The hexadecimal name of a blob's file, and the folder of its algorithm. */
const char *hex_of(const struct digest *digest);
int folder_of(const struct digest *digest);

void write_text(int dirfd, const char *name, const char *text);
bool exists(int dirfd, const char *name);

/* Names in the folder but for . and .. */
size_t count_entries(int dirfd);

/* Records of ingests in the store. */
size_t count_ingest_records(void);

/* Waits some seconds until there are so many. */
void wait_for_ingest_records(size_t count);

/* No ingest is left: not in memory, as a record or as a file. */
void assert_no_ingests(void);

void sleep_ms(int ms);
