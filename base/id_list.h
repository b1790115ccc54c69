/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The name of an id on disk: decimal. */
#define ID_NAME_SIZE 24
void id_name(uint64_t id, char out[ID_NAME_SIZE]);

/* A list of ids, as folders of the store have them for names (fd_name_is_id). */
struct id_list {
    uint64_t *ids;
    size_t count;
    size_t capacity;
};

void id_list_add(struct id_list *list, uint64_t id);
void id_list_clear(struct id_list *list); /* repeatable, usable with owned() */

/* Brings the ids into ascending order. */
void id_list_sort(struct id_list *list);

/* Adds the ids among the names of the directory dirfd, in ascending order. */
int id_list_read(struct id_list *list, int dirfd, struct error *error);
