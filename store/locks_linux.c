/* SPDX-License-Identifier: Apache-2.0 */
#include "store/internal.h"

/* Robust mutexes: who comes next after a process that was killed gets them. */
bool store_needs_own_locks(void)
{
    return false;
}
