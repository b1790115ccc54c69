/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>

/* The tables of a store's database, behind the back of the store, which must be closed. root is the
 * path of its root. */
size_t meta_tables_count(const char *root);

/* flags: those that the table was made with. */
void meta_tables_drop(const char *root, const char *name, unsigned flags);
