/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cancel.h"
#include "base/error.h"
#include "tree/path_list.h"

/* Does one thing to the item of a list in this place: 0, or an error code, to which its path is
 * prepended. */
typedef int list_pass_step(void *context, size_t place, struct error *error);

/* Neighbours are as a rule in one directory, which a thread at a time can change: so many are of
 * one thread, from a multiple of that on. */
enum { LIST_PASS_NEIGHBOURS = 32 };

/* One pass over a list of paths, in several threads once it is long, each item in any order. */
struct list_pass {
    const struct path_list *list;
    list_pass_step *step;
    void *context; /* for step; shared by all threads */
    unsigned threads;
    const struct cancel *cancel; /* polled between items; may be NULL */
    const char *fault;           /* a fault point at each item */
};

/* 0, the first error of a step, or ERROR_CANCELLED; the others are through by then. */
int list_pass_run(const struct list_pass *pass, struct error *error);
