/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

#include <lmdb.h>

#include "store/snapshots.h"

/* Codec of the record Snapshot; for store/ alone. */

/* Packs the record into a new buffer, which the caller frees with mem_free. */
void *record_pack(const struct snapshot_record *record, size_t *out_size);

/* Unpacks a copy. ERROR_CORRUPT if the bytes are not a record. */
int record_unpack(const MDB_val *value, struct snapshot_record *out_record, struct error *error);
