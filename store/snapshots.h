/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/clock.h"
#include "base/labels.h"
#include "store/store.h"

/*
 * Records of snapshots. The name space is (snapshotter, key); a parent is named by its key within
 * the same snapshotter name. All calls take an open transaction; those that write need the one that
 * a store_change got.
 */
enum snapshot_kind { SNAPSHOT_VIEW = 1, SNAPSHOT_ACTIVE = 2, SNAPSHOT_COMMITTED = 3 };

struct snapshot_record {
    char *snapshotter;
    char *key;
    char *parent; /* "" = none */
    enum snapshot_kind kind;
    struct timestamp created;
    struct timestamp updated;
    struct labels labels;
    uint64_t tree;           /* id of the tree that is its own; 0: a view that shows its parent's
                                tree, or a committed snapshot of which there is only the layer */
    uint64_t layer;          /* id of its layer, or 0; then its tree is the truth */
    struct timestamp cloned; /* the volume's clock when its clone of the parent was complete */
    uint64_t clone_epoch;    /* clock_epoch at that time; 0 = unknown */
    bool measured;           /* of a committed one: the usage is known */
    uint64_t usage_bytes;
    uint64_t usage_inodes;
    bool unpacked; /* of an active one: a layer was unpacked into it, once, and is on disk */
    bool fresh;    /* for an unpacker: no unpacking of ours was begun in it, so that, committed, it
                      is what a client has written */
    struct timestamp used; /* last by others than unpackers, to an hour; zero = never */
    bool shown;            /* a view showed its tree, and a mount of it may outlive the view */
    bool damaged;          /* was not flushed when the machine went down */
};

#define SNAPSHOT_RECORD_NULL ((struct snapshot_record){0})

/* Frees what the record holds; repeatable, usable with owned(). */
void snapshot_record_clear(struct snapshot_record *record);

/* 1 and the record (the caller clears it), or 0 when there is none; negative on errors. */
int store_snapshot_get(struct store_txn *txn, const char *snapshotter, const char *key,
                       struct snapshot_record *out_record, struct error *error);

/* Adds or replaces the record; the parent's list of children and the owners of its tree and its
 * layer follow. Who takes a tree away from a record puts it to another one, or deletes it. */
int store_snapshot_put(struct store_txn *txn, const struct snapshot_record *record,
                       struct error *error);

/* Deletes the record, its place among its parent's children, and its claims on tree and layer. */
int store_snapshot_delete(struct store_txn *txn, const struct snapshot_record *record,
                          struct error *error);

/* Takes its tree, or its layer, away from the record and puts that: nobody's any more. */
int store_snapshot_drop_tree(struct store_txn *txn, struct snapshot_record *record,
                             struct error *error);
int store_snapshot_drop_layer(struct store_txn *txn, struct snapshot_record *record,
                              struct error *error);

/* 1 if any snapshot has this one as its parent, 0 if none; negative on errors. */
int store_snapshot_has_children(struct store_txn *txn, const char *snapshotter, const char *key,
                                struct error *error);

/* A place in the list of one snapshotter name's snapshots; starts zeroed, survives transactions. */
struct store_position {
    uint8_t key[40];
    bool started;
};

/* The next snapshot after the position, which moves on: 1, or 0 at the end; no particular order. */
int store_snapshot_next(struct store_txn *txn, const char *snapshotter,
                        struct store_position *position, struct snapshot_record *out_record,
                        struct error *error);
