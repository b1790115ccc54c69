/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include "base/cancel.h"
#include "base/error.h"
#include "tree/fixups.h"

/*
 * Makes a clone of which directories were cloned whole equal to its origin, by the origin's fix-up
 * list, in up to so many threads. Entries of the list that were made one by one are looked at like
 * the others; names of one file are linked here. The flags of the root are left out.
 * ERROR_CANCELLED; ERROR_CORRUPT if the list is of another tree; ERROR_NO_SPACE, ERROR_IO.
 */
int repair_tree(const struct path_list *list, int origin_root_fd, int clone_root_fd,
                unsigned threads, const struct cancel *cancel, struct error *error);
