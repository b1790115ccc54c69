/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/filter.h"
#include "base/patience.h"
#include "rpc/call.h"

/*
 * The course of a List: a stream of messages, each with the records that a step of some
 * milliseconds has found; nothing is held while the client takes it. Steps run on lane quick. When
 * the filters take longer than a step for a single record, the List goes on in lane search, where
 * others like it wait for it and nobody else; and when they take far longer, it fails.
 */
struct rpc_listing;

struct rpc_listing_kind {
    /* Drops what it kept, of which count is to be 0 then; looks at records while
     * rpc_listing_goes_on says so, and keeps those that match. Answers as the last look did, or an
     * error. */
    int (*fill)(struct rpc_call *call, struct rpc_listing *listing, struct error *error);
    /* Sends what was kept with rpc_call_send. */
    void (*send)(struct rpc_call *call, struct rpc_listing *listing, enum rpc_lane lane,
                 rpc_step *next);
};

/* As containerd's own servers do. */
enum { RPC_LISTING_BATCH = 100 };

/* Embedded in the call's state as its first member; zeroed but for kind. */
struct rpc_listing {
    const struct rpc_listing_kind *kind;
    struct patience patience; /* for the next look */
    int64_t until_ms;         /* of the step */
    size_t count;             /* of the records that are kept */
    size_t bytes;             /* of those, about */
    size_t looks;             /* of this step that decided something */
    bool costly;
};

/* The step of a call whose state is a listing; it goes on by itself. */
void rpc_listing_step(struct rpc_call *call);

/* Counts a look (enum filter_answer, or an error), and the bytes of a record that matches. False
 * when the step is to end. */
bool rpc_listing_goes_on(struct rpc_listing *listing, int answer, size_t bytes);

/* For filters elsewhere: how long they may take on lane quick or, with costly, on lane search, from
 * now on; and the error after that. */
struct patience rpc_filter_patience(const struct rpc_call *call, bool costly);
int rpc_filter_too_costly(struct error *error);
