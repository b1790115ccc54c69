/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keeps flushes by others short while many files are made or cloned on a volume. XFS has one
 * journal for the changes of all files, in their order, so that whoever flushes a file that has
 * grown waits until all that was changed before is in it, whoever did that: some milliseconds for
 * what two threads clone in 30 ms. Written every few milliseconds it stays short, which costs the
 * clone 7 %; so that is done while others flush, our own unpacks among them: until a second after
 * the last, and always where nothing tells.
 * It promises nothing, and hides no error: what is flushed is a file of its own.
 */
struct journal_pace;

/* Begins on the volume of the directory, if nobody has yet. NULL where that does not help.
 * Thread-safe, as the next. */
struct journal_pace *journal_pace_begin(int dirfd);

/* Ends with the last who has begun it; waits for a write. NULL is allowed. */
void journal_pace_end(struct journal_pace *pace);
