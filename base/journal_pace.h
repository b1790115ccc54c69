/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keeps flushes by others short while many files are made or cloned on a volume. XFS has one
 * journal for the changes of all files, in their order, so that whoever flushes a file that has
 * grown waits until all that was changed before is in it, whoever did that: some milliseconds for
 * what two threads clone in 30 ms. Written every few milliseconds it stays short, which costs the
 * clone 7 %; so that is done while others flush: until a second after the last, and always where
 * nothing tells.
 * It promises nothing, and hides no error: what is flushed is a file of its own.
 */
struct journal_pace;

/* The volume of the directory, which has to stay open until journal_pace_clear. */
struct journal_pace *journal_pace_new(int dirfd);

/* An entry was changed: the journal is written from the first on that is one of many, where that
 * helps. Thread-safe. */
void journal_pace_note(struct journal_pace *pace);

/* Ends it; waits for a write that has begun. For owned(); NULL is allowed. */
void journal_pace_clear(struct journal_pace **pace);
