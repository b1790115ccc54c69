/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/error.h"

/*
 * What a volume does, found out by trying each thing: an executable questionnaire (clonefsd
 * --probe), the same on every system, so that nobody has to trust a table of file systems.
 */

/* Takes one answer: "yes", "no", "no: WHY" with the system's words, or a word. */
typedef void tree_fact_teller(void *context, const char *fact, const char *answer);

/*
 * Asks the volume of the directory, in a folder in it that is removed at the end. What the caller
 * may not do (devices, owners, capabilities without root) is answered by "no: Operation not
 * permitted". The answers come one by one, always in the same order. ERROR_IO, ERROR_NO_SPACE if
 * nothing can be made in the directory.
 */
int tree_facts(int dirfd, tree_fact_teller *tell, void *context, struct error *error);
