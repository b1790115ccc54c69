/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Work on a volume that may go over many entries. From some hundreds on it leaves room for what
 * others do there: it gives way to small calls (base/small_calls.h), and keeps their flushes short
 * (base/journal_pace.h).
 */
struct bulk;

/* The volume of the directory, which has to stay open until bulk_end. */
struct bulk *bulk_begin(int dirfd);

/* Comes to another entry; waits some milliseconds now and then. Thread-safe. */
void bulk_note(struct bulk *bulk);

/* When its threads are done. For owned(); NULL is allowed. */
void bulk_end(struct bulk **bulk);
