/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stdbool.h>

#include "base/error.h"
#include "tree/volume_state.h"

/*
 * Whether a store can be in a folder: what would make images wrong is refused, what costs time or
 * room is a warning. A finding is one text that says what is so, what comes of it, and the command
 * that mends it. Nothing is written.
 */
enum volume_verdict { VOLUME_WARNED, VOLUME_REFUSED };

typedef void volume_teller(void *context, enum volume_verdict verdict, const char *text);

struct volume_allowances {
    bool case_insensitive; /* no more than a warning */
};

/* The rules alone. */
void volume_judge(const struct volume_state *state, const struct volume_allowances *allowances,
                  volume_teller *tell, void *context);

/* Judges the folder root, or the one above it while it does not exist. No finding if neither does,
 * which is for those to say who open it. ERROR_IO. */
int volume_check(const char *root, const struct volume_allowances *allowances, volume_teller *tell,
                 void *context, struct error *error);
