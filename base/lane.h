/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * A lane: a queue of jobs and the threads that work on it, started on demand up to a maximum. Work
 * of one kind waits only for work of its own lane, so that small never waits for big.
 */
struct lane;

/* A job is embedded in what it works on and belongs to the lane until run is called. */
struct lane_job {
    void (*run)(struct lane_job *job);
    struct lane_job *next; /* under the lane's lock while queued */
};

struct lane_options {
    const char *name;
    unsigned threads; /* at most */
    int nice_value;   /* 0 = normal */
};

int lane_new(const struct lane_options *options, struct lane **out_lane, struct error *error);

/* Queues a job; never blocks, never fails. First in, first out. */
void lane_put(struct lane *lane, struct lane_job *job);

/* Waits until the queue is empty and no job runs, joins the threads, frees the lane. Nothing may be
 * put while this runs, but by its own jobs. NULL is allowed. */
void lane_free(struct lane *lane);
