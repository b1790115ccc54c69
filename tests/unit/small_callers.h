/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A thread that makes small calls, one after the other, so that on a machine however slow there is
 * one that others have to give way to. One at a time. */
void small_callers_start(void);
void small_callers_stop(void);

/* For how long others stand still then, as in base/small_calls.c; and after that they go on for as
 * long. */
enum { SMALL_CALLERS_PAUSE_MS = 10 };
