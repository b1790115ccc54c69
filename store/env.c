/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/random.h"
#include "base/volume.h"
#include "store/internal.h"

#define DEFAULT_MAP_BYTES ((uint64_t) 32 << 30)
#define MAX_READERS 1024
#define FIRST_ID 1
/* Enough for thousands of removals. */
#define RESERVED_BYTES ((uint64_t) 4 << 20)

static const struct {
    const char *name;
    unsigned flags;
} table_definitions[TABLE_COUNT] = {
    [TABLE_STORE] = {"store", 0},
    [TABLE_SNAPSHOTS] = {"snapshots", 0},
    [TABLE_CHILDREN] = {"children", MDB_DUPSORT | MDB_DUPFIXED},
    [TABLE_TREES] = {"trees", MDB_INTEGERKEY},
    [TABLE_UNFLUSHED] = {"unflushed", MDB_INTEGERKEY},
    [TABLE_BLOBS] = {"blobs", 0},
    [TABLE_INGESTS] = {"ingests", MDB_INTEGERKEY},
    [TABLE_SPARES] = {"spares", MDB_INTEGERKEY},
    [TABLE_LAYERS] = {"layers", MDB_INTEGERKEY},
};

static bool locks_itself(const struct store_options *options)
{
    return options->locks == STORE_LOCKS_OWN ||
           (options->locks == STORE_LOCKS_DEFAULT && store_needs_own_locks());
}

static int create_environment(struct store *store, int meta_fd, const struct store_options *options,
                              struct error *error)
{
    int rc = mdb_env_create(&store->env);
    if (rc != 0)
        return store_raise(error, rc, "cannot open the metadata database");
    (void) mdb_env_set_maxdbs(store->env, TABLE_COUNT);
    (void) mdb_env_set_maxreaders(store->env, MAX_READERS);
    (void) mdb_env_set_mapsize(store->env,
                               options->map_bytes ? options->map_bytes : DEFAULT_MAP_BYTES);
    char path[PATH_MAX]; /* LMDB takes paths only */
    if (!fd_path(meta_fd, path, sizeof path))
        return error_errno(error, "cannot find the path of the metadata database");
    unsigned flags = MDB_NOTLS | MDB_NORDAHEAD | (locks_itself(options) ? MDB_NOLOCK : 0U);
    rc = mdb_env_open(store->env, path, flags, 0600);
    return rc == 0 ? 0 : store_raise(error, rc, "cannot open the metadata database");
}

static int open_tables(struct store *store, struct error *error)
{
    MDB_txn *txn = NULL;
    int rc = mdb_txn_begin(store->env, NULL, 0, &txn);
    for (int i = 0; rc == 0 && i < TABLE_COUNT; i++)
        rc = mdb_dbi_open(txn, table_definitions[i].name, table_definitions[i].flags | MDB_CREATE,
                          &store->tables[i]);
    if (rc == 0)
        rc = mdb_txn_commit(txn);
    else if (txn)
        mdb_txn_abort(txn);
    return rc == 0 ? 0 : store_raise(error, rc, "cannot open the tables of the metadata database");
}

/* Reads ROOT/uuid: 1, 0 when there is none, or an error. */
static int read_root_uuid(int root_dirfd, char uuid[40], struct error *error)
{
    ssize_t length = fd_read_small(root_dirfd, "uuid", uuid, 40);
    if (length < 0 && errno == ENOENT)
        return 0;
    if (length < 0)
        return error_errno(error, "cannot read the file uuid of the store");
    uuid[strcspn(uuid, "\n")] = '\0';
    if (strlen(uuid) != 36)
        return error_set(error, ERROR_PRECONDITION, "the file uuid of the store is damaged");
    return 1;
}

static int publish_root_uuid(int root_dirfd, const char *uuid, struct error *error)
{
    char line[48];
    int length = snprintf(line, sizeof line, "%s\n", uuid);
    return fd_publish_small(root_dirfd, "uuid", line, (size_t) length, error);
}

/* The file comes before the database: a crash in between leaves a UUID and nothing else. */
static int make_header(int root_dirfd, struct store_header *out_header, struct error *error)
{
    *out_header = (struct store_header){.format = STORE_FORMAT, .next_id = FIRST_ID};
    int found = read_root_uuid(root_dirfd, out_header->uuid, error);
    if (found != 0)
        return found < 0 ? found : 0;
    random_uuid(out_header->uuid);
    return publish_root_uuid(root_dirfd, out_header->uuid, error);
}

static int check_header(int root_dirfd, const struct store_header *header, struct error *error)
{
    if (header->format > STORE_FORMAT)
        return error_set(error, ERROR_PRECONDITION,
                         "the store has format %u and this clonefsd knows formats up to %d: run "
                         "the newer clonefsd that wrote it, or choose another root",
                         header->format, STORE_FORMAT);
    char uuid[40] = "";
    int found = read_root_uuid(root_dirfd, uuid, error);
    if (found < 0)
        return found;
    if (found == 0 || strcmp(uuid, header->uuid) != 0)
        return error_set(error, ERROR_PRECONDITION,
                         "the metadata database belongs to the store %s, the root to %s: one of "
                         "them was replaced; put the matching one back",
                         header->uuid, found ? uuid : "none (its file uuid is missing)");
    return 0;
}

/* 1 and the header, or 0 where the database is new. Makes nothing, and leaves no table open. */
static int peek_header(struct store *store, struct store_header *out_header, struct error *error)
{
    struct store_txn txn = {.store = store};
    int rc = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn.mdb);
    if (rc != 0)
        return store_raise(error, rc, "cannot read the metadata");
    rc = mdb_dbi_open(txn.mdb, table_definitions[TABLE_STORE].name,
                      table_definitions[TABLE_STORE].flags, &store->tables[TABLE_STORE]);
    int found = rc == 0              ? store_header_get(&txn, out_header, error)
                : rc == MDB_NOTFOUND ? 0
                                     : store_raise(error, rc, "cannot open the metadata database");
    mdb_txn_abort(txn.mdb);
    return found;
}

/* Whether this store may be opened, found out before a table is made in it: a refused store is left
 * as it is, and what the tables of a newer format look like is not known here. */
static int check_store(struct store *store, int root_dirfd, bool data_empty, struct error *error)
{
    struct store_header header = {0};
    int found = peek_header(store, &header, error);
    if (found < 0)
        return found;
    if (found)
        return check_header(root_dirfd, &header, error);
    return data_empty
               ? 0
               : error_set(error, ERROR_PRECONDITION,
                           "the root holds data but no metadata database: put the folder meta "
                           "back, or mount the volume that has it, or choose an empty root");
}

struct opening {
    int root_dirfd;
    const char *boot_id;
    struct store *store;
};

static int open_header(struct store_txn *txn, void *context, struct error *error)
{
    struct opening *opening = context;
    struct store_header header;
    int found = store_header_get(txn, &header, error);
    if (found < 0)
        return found;
    int rc = found ? 0 : make_header(opening->root_dirfd, &header, error);
    if (rc != 0)
        return rc;
    struct store *store = opening->store;
    store->was_rebooted = found && opening->boot_id[0] && header.boot_id[0] &&
                          strcmp(opening->boot_id, header.boot_id) != 0;
    memcpy(store->uuid, header.uuid, sizeof store->uuid);
    store->next_id = store->reserved_ids = header.next_id;
    (void) snprintf(store->boot_id, sizeof store->boot_id, "%s", opening->boot_id);
    bool is_older = header.format < STORE_FORMAT;
    header.format = STORE_FORMAT;
    if (store->was_rebooted || (found && !opening->boot_id[0]) ||
        (found && strcmp(header.boot_id, opening->boot_id) == 0))
        /* a reboot is noted with what follows from it (store_note_boot) */
        return is_older ? store_header_put(txn, &header, error) : 0;
    (void) snprintf(header.boot_id, sizeof header.boot_id, "%s", opening->boot_id);
    return store_header_put(txn, &header, error);
}

/* Removing must work on a full volume, and LMDB writes new pages before it frees old ones. */
static void reserve_room(const struct store *store)
{
    int fd = -1;
    if (mdb_env_get_fd(store->env, &fd) == 0 && !volume_reserve(fd, RESERVED_BYTES))
        log_debug("no room could be reserved for the metadata database");
}

static int share_reads(struct store *store, struct error *error)
{
    int rc = shared_reads_new(store->env, store->tables, TABLE_COUNT, &store->reads);
    return rc == 0 ? 0 : store_raise(error, rc, "cannot read the metadata");
}

/* A new database file's directory entry must be as durable as what is committed to it. */
static int open_environment(struct store *store, int root_dirfd, bool data_empty,
                            const struct store_options *options, struct error *error)
{
    owned(fd_close) int meta_fd = fd_make_dir(root_dirfd, "meta", 0700, error);
    if (meta_fd < 0)
        return error->code;
    int rc = create_environment(store, meta_fd, options, error);
    if (rc == 0)
        rc = check_store(store, root_dirfd, data_empty, error);
    if (rc == 0)
        rc = open_tables(store, error);
    if (rc == 0 && (fsync(meta_fd) != 0 || fsync(root_dirfd) != 0))
        rc = error_errno(error, "cannot flush the folder of the metadata database");
    if (rc == 0 && locks_itself(options))
        rc = share_reads(store, error);
    if (rc == 0)
        reserve_room(store);
    return rc;
}

int store_open(int root_dirfd, bool data_empty, const struct store_options *options,
               struct store **out_store, struct error *error)
{
    struct store *store = mem_alloc(sizeof *store);
    store_gate_init(&store->gate);
    (void) pthread_mutex_init(&store->queue.lock, NULL);
    store->queue.last = &store->queue.first;
    (void) pthread_mutex_init(&store->id_lock, NULL);
    struct opening opening = {.root_dirfd = root_dirfd,
                              .boot_id = options->boot_id ? options->boot_id : "",
                              .store = store};
    int rc = open_environment(store, root_dirfd, data_empty, options, error);
    if (rc == 0)
        rc = store_write(store, open_header, &opening, error);
    if (rc != 0) {
        store_close(store);
        return rc;
    }
    *out_store = store;
    return 0;
}

void store_close(struct store *store)
{
    if (!store)
        return;
    shared_reads_free(store->reads);
    if (store->env)
        mdb_env_close(store->env);
    store_gate_clear(&store->gate);
    (void) pthread_mutex_destroy(&store->queue.lock);
    (void) pthread_mutex_destroy(&store->id_lock);
    free(store);
}

int store_note_boot(struct store_txn *txn, struct error *error)
{
    struct store_header header;
    int rc = store_header_find(txn, &header, error);
    if (rc != 0)
        return rc;
    memcpy(header.boot_id, txn->store->boot_id, sizeof header.boot_id);
    return store_header_put(txn, &header, error);
}

const char *store_uuid(const struct store *store)
{
    return store->uuid;
}

bool store_was_rebooted(const struct store *store)
{
    return store->was_rebooted;
}
